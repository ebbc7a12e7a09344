//! The machine under the simulation: time, chance and size are those of the real one, unless somebody lets time pass.

use crate::locked;
use async_trait::async_trait;
use lxhost_engine::ports::{Check, Host};
use lxhost_model::schedule::Minute;
use lxhost_model::{IdRange, ObjectId, Result, Timestamp};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A machine on which nobody else uses ids, unless told so.
#[derive(Debug)]
pub struct SimHost {
    state_dir: PathBuf,
    boot: ObjectId,
    taken: Mutex<Vec<IdRange>>,
    /// How far its clock is ahead, in microseconds.
    ahead: AtomicU64,
    called: AtomicBool,
}

impl SimHost {
    pub(crate) fn new(state_dir: &Path) -> SimHost {
        let (boot, ahead, called) = (ObjectId::from_random(chance()), AtomicU64::new(0), AtomicBool::new(false));
        SimHost { state_dir: state_dir.to_owned(), boot, taken: Mutex::default(), ahead, called }
    }

    /// Lets time go by.
    pub fn pass(&self, seconds: u64) {
        self.ahead.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }

    /// Whether a timer would call the daemon every minute.
    pub fn is_called(&self) -> bool {
        self.called.load(Ordering::Relaxed)
    }

    /// Sets which ids others use.
    pub fn take_ids(&self, ranges: Vec<IdRange>) {
        *locked(&self.taken) = ranges;
    }
}

/// Sixteen bytes from getrandom(2). Where the kernel gives none, those of the clock: two objects of
/// a simulation must differ, nobody has to be surprised.
fn chance() -> [u8; 16] {
    let mut bytes = [0; 16];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(16) => bytes,
        _ => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos()).to_ne_bytes(),
    }
}

#[async_trait]
impl Host for SimHost {
    fn now(&self) -> Timestamp {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as Timestamp);
        now + self.ahead.load(Ordering::Relaxed)
    }

    /// It lies where clocks show UTC.
    fn minute(&self, at: Timestamp) -> Minute {
        (at / 60_000_000) as Minute
    }

    async fn call_every_minute(&self, on: bool) -> Result<()> {
        self.called.store(on, Ordering::Relaxed);
        Ok(())
    }

    fn random(&self) -> [u8; 16] {
        chance()
    }

    fn architecture(&self) -> String {
        rustix::system::uname().machine().to_string_lossy().into_owned()
    }

    fn kernel(&self) -> String {
        rustix::system::uname().release().to_string_lossy().into_owned()
    }

    fn memory(&self) -> u64 {
        let info = rustix::system::sysinfo();
        (info.totalram as u64).saturating_mul(u64::from(info.mem_unit.max(1)))
    }

    fn boot_id(&self) -> String {
        self.boot.uuid()
    }

    fn state_dir(&self) -> PathBuf {
        self.state_dir.clone()
    }

    async fn taken_ids(&self) -> Result<Vec<IdRange>> {
        Ok(locked(&self.taken).clone())
    }

    async fn path_of(&self, file: OwnedFd) -> Result<String> {
        let own = format!("/proc/self/fd/{}", file.as_raw_fd());
        let path = std::fs::read_link(own).map_err(|e| lxhost_model::Error::io("look at a path", &e))?;
        Ok(path.to_string_lossy().into_owned())
    }

    async fn checks(&self) -> Vec<Check> {
        vec![Check {
            name: "simulation".into(),
            state: "warn",
            message: "this daemon simulates the machine: nothing it says it runs is there".into(),
            hint: "start lxhostd without --sim".into(),
        }]
    }
}
