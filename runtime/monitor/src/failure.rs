//! The one error of the monitor: what was being done, and the kernel's number. It travels to the daemon, which words it.

use rustix::io::Errno;

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What was being done: `overlay`, `exec /sbin/init`.
    pub(crate) step: String,
    /// Why not.
    pub(crate) errno: Errno,
}

impl Failure {
    pub(crate) fn new(step: impl Into<String>, errno: Errno) -> Self {
        Self { step: step.into(), errno }
    }

    /// As bytes for a pipe between two processes of one monitor.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.errno.raw_os_error().to_ne_bytes().to_vec();
        out.extend_from_slice(self.step.as_bytes());
        out
    }

    /// Back from `to_bytes`.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (errno, step) = bytes.split_first_chunk::<4>()?;
        let errno = Errno::from_raw_os_error(i32::from_ne_bytes(*errno));
        Some(Self { step: String::from_utf8_lossy(step).into_owned(), errno })
    }
}

/// Names the step of a result of the kernel.
pub(crate) trait During<T> {
    /// Turns the error into a `Failure` of `step`.
    fn during(self, step: impl Into<String>) -> Result<T, Failure>;
}

impl<T> During<T> for Result<T, Errno> {
    fn during(self, step: impl Into<String>) -> Result<T, Failure> {
        self.map_err(|errno| Failure::new(step, errno))
    }
}

impl<T> During<T> for std::io::Result<T> {
    fn during(self, step: impl Into<String>) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(step, Errno::from_io_error(&error).unwrap_or(Errno::IO)))
    }
}
