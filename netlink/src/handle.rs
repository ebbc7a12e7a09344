//! One netlink connection for the life of the daemon. Cheap to clone; every request of this crate
//! is a method of it, in the file of its noun.

use crate::elsewhere::Elsewhere;
use crate::{Error, Result};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinHandle;

/// A connection to the kernel's rtnetlink, in the network namespace of the thread that opened it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use lxhost_netlink::Handle;
/// let handle = Handle::open()?;
/// let lo = handle.link("lo").await?.ok_or("every namespace has one")?;
/// assert_eq!((lo.name.as_str(), lo.kind), ("lo", None));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Handle {
    connection: Arc<Mutex<Connection>>,
    lists: Arc<tokio::sync::Mutex<()>>,
}

struct Connection {
    requests: rtnetlink::Handle,
    pump: JoinHandle<()>,
    /// Opened by somebody else: it cannot be opened anew.
    elsewhere: bool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

impl Handle {
    /// Opens the connection; its answers are read by a task of the current tokio runtime.
    ///
    /// # Errors
    /// `Open`.
    pub fn open() -> Result<Self> {
        Ok(Handle { connection: Arc::new(Mutex::new(Connection::open()?)), lists: Arc::default() })
    }

    /// A connection through a route socket that was opened in another network namespace.
    ///
    /// ```no_run
    /// # async fn example(socket: std::os::fd::OwnedFd) -> lxhost_netlink::Result<()> {
    /// use lxhost_netlink::Handle;
    /// // A program in a guest has opened it and passed it here.
    /// let inside = Handle::through(socket)?;
    /// println!("{} links there", inside.links().await?.len());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Open`.
    pub fn through(socket: OwnedFd) -> Result<Self> {
        let socket = Elsewhere::new(socket).map_err(Error::Open)?;
        let (connection, requests, _) = rtnetlink::from_socket(socket);
        let connection = Connection { requests, pump: tokio::spawn(connection), elsewhere: true };
        Ok(Handle { connection: Arc::new(Mutex::new(connection)), lists: Arc::default() })
    }

    /// Waits until no list is under way: the kernel gives one socket one list at a time, and refuses a second (`EBUSY`).
    pub(crate) async fn alone(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.lists.lock().await
    }

    /// The request side; a connection whose task has ended is opened anew.
    pub(crate) fn requests(&self) -> Result<rtnetlink::Handle> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if connection.pump.is_finished() && !connection.elsewhere {
            *connection = Connection::open()?;
        }
        Ok(connection.requests.clone())
    }
}

impl Connection {
    fn open() -> Result<Self> {
        let (connection, requests, _) = rtnetlink::new_connection().map_err(Error::Open)?;
        Ok(Connection { requests, pump: tokio::spawn(connection), elsewhere: false })
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("netlink::Handle")
    }
}
