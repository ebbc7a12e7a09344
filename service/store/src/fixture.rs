//! Records for the tests of this crate.

use lxhost_model::{Instance, ObjectId, Pool};
use std::sync::atomic::{AtomicU64, Ordering};

fn id() -> ObjectId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let n = u128::from(NEXT.fetch_add(1, Ordering::Relaxed));
    ObjectId::from_random((n << 64 | u128::from(std::process::id())).to_be_bytes())
}

/// From JSON, as an older version could have written it: what came later has defaults.
pub(crate) fn instance(name: &str) -> Instance {
    let record = serde_json::json!({
        "id": id(), "project": "default", "name": name, "type": "container", "architecture": "x86_64",
        "pool": "default", "image": "ab".repeat(32), "profiles": ["default"], "config": { "user.note": "a \"b\"\nc" },
        "devices": {}, "ephemeral": false, "status": "creating", "ids": { "base": 1_000_000, "size": 65_536 },
        "created": 1, "last_used": 0, "last_exit": null, "generation": 0,
    });
    serde_json::from_value(record).unwrap()
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
