//! Records for the tests of this crate.

use lxhost_model::instance::{Instance, InstanceType};
use lxhost_model::{IdRange, ObjectId, Pool, Status};
use std::sync::atomic::{AtomicU64, Ordering};

fn id() -> ObjectId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let n = u128::from(NEXT.fetch_add(1, Ordering::Relaxed));
    ObjectId::from_random((n << 64 | u128::from(std::process::id())).to_be_bytes())
}

pub(crate) fn instance(name: &str) -> Instance {
    Instance {
        id: id(),
        project: Default::default(),
        name: name.parse().unwrap(),
        description: String::new(),
        kind: InstanceType::Container,
        architecture: "x86_64".into(),
        pool: "default".parse().unwrap(),
        image: Some("ab".repeat(32).parse().unwrap()),
        image_properties: Default::default(),
        profiles: vec!["default".parse().unwrap()],
        config: [("user.note".to_owned(), "a \"b\"\nc".to_owned())].into(),
        devices: Default::default(),
        volatile: Default::default(),
        ephemeral: false,
        status: Status::Creating,
        ids: IdRange { base: 1_000_000, size: IdRange::SIZE },
        created: 1,
        last_used: 0,
        last_exit: None,
        generation: 0,
    }
}

pub(crate) fn pool(name: &str) -> Pool {
    Pool {
        id: id(),
        name: name.parse().unwrap(),
        driver: "dir".into(),
        description: String::new(),
        config: Default::default(),
        created: 1,
        generation: 0,
    }
}
