//! What can go wrong, with the link or process it went wrong for.

use std::io;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed request.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> lxhost_netlink::Result<()> {
/// use lxhost_netlink::{Error, Handle};
/// let refused = Handle::open()?.set_up("no-such-link").await;
/// assert!(matches!(refused, Err(Error::NoSuchLink(name)) if name == "no-such-link"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No netlink socket could be opened.
    #[error("cannot open a netlink socket: {0}")]
    Open(#[source] io::Error),
    /// A text that cannot be the name of a link.
    #[error("{0:?} cannot be the name of a network interface (1 to 15 bytes, no slash, colon or space)")]
    InvalidName(String),
    /// A text that is not the hardware address of one station.
    #[error("{0:?} is not a hardware address of one station (aa:bb:cc:dd:ee:ff)")]
    InvalidMac(String),
    /// No link of that name.
    #[error("there is no network interface {0}")]
    NoSuchLink(String),
    /// The name is taken, here or in the namespace the link was to be born in.
    #[error("a network interface {0} exists already")]
    Exists(String),
    /// A link of that name exists, and is something else.
    #[error("network interface {name} is a {found}, not a {wanted}")]
    WrongKind {
        /// The link.
        name: String,
        /// What it is.
        found: String,
        /// What it was expected to be.
        wanted: &'static str,
    },
    /// A link of that name and kind exists, and differs in what only its maker can decide.
    #[error("network interface {name} exists already and has another {what}")]
    Differs {
        /// The link.
        name: String,
        /// What differs, such as `parent` or `VLAN`.
        what: &'static str,
    },
    /// A number that cannot be a VLAN's.
    #[error("{0} is not a VLAN (1 to 4094)")]
    InvalidVlan(String),
    /// The bridge has as many ports as Linux gives one.
    #[error("bridge {0} is full: Linux gives a bridge 1023 ports; make another network for more")]
    BridgeFull(String),
    /// The process whose namespace was wanted is gone.
    #[error("there is no process {0} whose network namespace could be used")]
    NoSuchProcess(u32),
    /// The kernel refused.
    #[error("{what}: {source}")]
    Kernel {
        /// What was asked of it.
        what: String,
        /// Its answer.
        #[source]
        source: io::Error,
    },
    /// The kernel's answer could not be read.
    #[error("{what}: {why}")]
    Answer {
        /// What was asked.
        what: String,
        /// What is wrong with the answer.
        why: String,
    },
}

impl Error {
    /// The error of `rtnetlink` met while doing `what`.
    pub(crate) fn from_request(what: impl Into<String>, error: rtnetlink::Error) -> Self {
        match error {
            rtnetlink::Error::NetlinkError(message) => Error::Kernel { what: what.into(), source: message.to_io() },
            other => Error::Answer { what: what.into(), why: other.to_string() },
        }
    }

    /// The kernel's error number, when it was the kernel that refused.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Error::Kernel { source, .. } | Error::Open(source) => source.raw_os_error(),
            _ => None,
        }
    }
}

/// Error numbers that mean something to us (`errno(3)`).
pub(crate) mod errno {
    use rustix::io::Errno;
    pub(crate) const NO_PROCESS: i32 = Errno::SRCH.raw_os_error();
    pub(crate) const EXISTS: i32 = Errno::EXIST.raw_os_error();
    pub(crate) const NO_ENTRY: i32 = Errno::NOENT.raw_os_error();
    pub(crate) const FULL: i32 = Errno::XFULL.raw_os_error();
    pub(crate) const NO_DEVICE: i32 = Errno::NODEV.raw_os_error();
    pub(crate) const NO_ADDRESS: i32 = Errno::ADDRNOTAVAIL.raw_os_error();
}
