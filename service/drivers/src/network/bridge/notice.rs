//! Which networks' leases were written: dnsmasq has a file of them in a directory for each, and the kernel says when it
//! is written (inotify). Told to the engine through the registry.

use super::serve::make_dir;
use lxhost_model::{Error, Result};
use rustix::fs::inotify::{CreateFlags, Event, ReadFlags, Reader, WatchFlags, add_watch, init};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::mem::MaybeUninit;
use std::os::unix::net::UnixDatagram as Descriptor;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tokio::time::Instant;

/// A file is empty for a moment when it is written; this long after the last write it is whole.
const WHOLE: Duration = Duration::from_millis(25);
/// When a watch that could not be made is tried again.
const AGAIN: Duration = Duration::from_secs(10);
/// Bytes of events that are read at once.
const EVENTS: usize = 4096;

/// Leases of all networks, in directories called as their interfaces.
pub(in crate::network) struct Notice {
    root: PathBuf,
    watch: Option<Watch>,
}

struct Watch {
    /// Tokio's name for a descriptor that can be waited for; read by our own calls only.
    events: UnixDatagram,
    /// Interfaces by the kernel's number for the watch of their directory.
    dirs: HashMap<i32, String>,
    /// When the file of an interface is whole.
    due: HashMap<String, Instant>,
}

impl Notice {
    /// Of the directories in `root`.
    pub(in crate::network) fn new(root: PathBuf) -> Self {
        Notice { root, watch: None }
    }

    /// The next interface whose leases were written. Dropping the future loses nothing.
    pub(in crate::network) async fn next(&mut self) -> String {
        loop {
            let Some(watch) = &mut self.watch else {
                match Watch::open(&self.root) {
                    Ok(watch) => self.watch = Some(watch),
                    Err(error) => {
                        tracing::warn!(%error, "leases are not followed");
                        tokio::time::sleep(AGAIN).await;
                    }
                }
                continue;
            };
            let first = watch.due.iter().min_by_key(|(_, due)| **due).map(|(name, due)| (name.clone(), *due));
            tokio::select! {
                biased;
                lasting = watch.heard(&self.root) => if !lasting {
                    self.watch = None;
                },
                () = until(first.as_ref().map(|(_, due)| *due)) => {
                    if let Some((name, _)) = first {
                        watch.due.remove(&name);
                        return name;
                    }
                }
            }
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

impl Watch {
    fn open(root: &Path) -> Result<Self> {
        make_dir(root)?;
        let open = || {
            let events = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
            add_watch(&events, root, WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR)?;
            let events = UnixDatagram::from_std(Descriptor::from(events))?;
            Ok(Watch { events, dirs: HashMap::new(), due: HashMap::new() })
        };
        let mut watch = open().map_err(|e: std::io::Error| Error::io(format!("watch {}", root.display()), &e))?;
        let listed = std::fs::read_dir(root).map_err(|e| Error::io(format!("read {}", root.display()), &e))?;
        for name in listed.flatten().filter_map(|dir| dir.file_name().into_string().ok()) {
            watch.follow(root, name);
        }
        Ok(watch)
    }

    /// Follows the directory of an interface; what was written in it so far counts as new.
    fn follow(&mut self, root: &Path, name: String) {
        let flags = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        // What is no directory, or is gone again, is nobody's.
        if let Ok(number) = add_watch(&self.events, root.join(&name), flags) {
            self.dirs.insert(number, name.clone());
            self.due.insert(name, Instant::now() + WHOLE);
        }
    }

    /// Takes in what has happened, waiting for something; `false` when the watch is of no use any more.
    async fn heard(&mut self, root: &Path) -> bool {
        if self.events.readable().await.is_err() {
            return false;
        }
        let mut room = [MaybeUninit::uninit(); EVENTS];
        let mut come = Vec::new();
        let mut lost = false;
        let read = self.events.try_io(Interest::READABLE, || -> std::io::Result<()> {
            let mut reader = Reader::new(&self.events, &mut room);
            loop {
                let event = reader.next()?;
                lost |= event.events().intersects(ReadFlags::QUEUE_OVERFLOW);
                come.push(Happened::from(&event));
            }
        });
        for event in come {
            lost |= !self.take(root, event);
        }
        let later = |error: std::io::Error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted);
        !lost && read.is_err_and(later)
    }

    /// Takes in one event; `false` when it says that the root is gone.
    fn take(&mut self, root: &Path, event: Happened) -> bool {
        if event.ended {
            return self.dirs.remove(&event.number).is_some();
        }
        if let Some(interface) = self.dirs.get(&event.number) {
            self.due.insert(interface.clone(), Instant::now() + WHOLE);
        } else if let Some(name) = event.name {
            self.follow(root, name);
        }
        true
    }
}

/// What an event says.
struct Happened {
    number: i32,
    name: Option<String>,
    /// What was watched is gone.
    ended: bool,
}

impl From<&Event<'_>> for Happened {
    fn from(event: &Event<'_>) -> Self {
        Happened {
            number: event.wd(),
            name: event.file_name().and_then(|name| name.to_str().ok()).map(str::to_owned),
            ended: event.events().intersects(ReadFlags::IGNORED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_is_written_is_told_of_once_also_in_a_directory_that_came_later() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("dnsmasq");
        let mut notice = Notice::new(root.clone());
        let quiet = async |notice: &mut Notice| tokio::time::timeout(4 * WHOLE, notice.next()).await.is_err();
        assert!(quiet(&mut notice).await);
        std::fs::create_dir(root.join("lxbr0")).unwrap();
        let leases = root.join("lxbr0/leases");
        for text in ["", "1 a 10.0.0.2 c1 *\n", "2 a 10.0.0.2 c1 *\n"] {
            std::fs::write(&leases, text).unwrap();
            assert_eq!(notice.next().await, "lxbr0");
            assert!(quiet(&mut notice).await);
        }
        std::fs::write(root.join("no-directory"), "").unwrap();
        std::fs::remove_dir_all(root.join("lxbr0")).unwrap();
        std::fs::create_dir(root.join("lxbr1")).unwrap();
        let mut told = vec![notice.next().await, notice.next().await];
        told.sort();
        assert_eq!(told, ["lxbr0", "lxbr1"]);
    }
}
