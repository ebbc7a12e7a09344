//! `/run/lxhost/instances/<id>`: the socket, the exit record, the last words of the console.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use lxhost_contract::SOCKET_NAME;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};

use crate::failure::{During, Failure};

const STAGE: &str = "stage";

/// The instance's directory, held open so that it is reached from every mount namespace.
#[derive(Debug)]
pub(crate) struct RuntimeDir {
    path: PathBuf,
    dir: OwnedFd,
    listener: OwnedFd,
}

impl RuntimeDir {
    /// Opens the directory and listens in it. Only root may: the directory is checked, the peer of a connection too.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let what = || format!("runtime directory {}", path.display());
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = openat(CWD, path, flags, Mode::empty()).during(what())?;
        let stat = rustix::fs::fstat(&dir).during(what())?;
        if stat.st_uid != 0 || stat.st_mode & 0o022 != 0 {
            return Err(Failure::new(what(), Errno::PERM));
        }
        for old in [SOCKET_NAME, lxhost_contract::EXIT_NAME] {
            match unlinkat(&dir, old, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(Failure::new(what(), errno)),
            }
        }
        let kind = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let listener = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, kind, None).during("listen")?;
        let old = rustix::process::umask(Mode::from_raw_mode(0o177));
        let bound = SocketAddrUnix::new(path.join(SOCKET_NAME)).and_then(|address| bind(&listener, &address));
        rustix::process::umask(old);
        bound.and_then(|()| listen(&listener, 16)).during("listen")?;
        Ok(Self { path: path.to_owned(), dir, listener })
    }

    /// The listening socket.
    pub(crate) fn listener(&self) -> &OwnedFd {
        &self.listener
    }

    /// Makes the directory over which the stage is mounted.
    pub(crate) fn make_stage(&self) -> Result<PathBuf, Failure> {
        match mkdirat(&self.dir, STAGE, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(Errno::EXIST) => Ok(self.path.join(STAGE)),
            Err(errno) => Err(Failure::new("stage", errno)),
        }
    }

    /// Removes it again, once its mount namespace has been left.
    pub(crate) fn remove_stage(&self) {
        let _ = unlinkat(&self.dir, STAGE, AtFlags::REMOVEDIR);
    }

    /// Removes the socket: nobody is to connect any more.
    pub(crate) fn remove_socket(&self) {
        let _ = unlinkat(&self.dir, SOCKET_NAME, AtFlags::empty());
    }

    /// Writes a file so that it is either whole or not there.
    pub(crate) fn write(&self, name: &str, parts: &[&[u8]]) -> Result<(), Errno> {
        let draft = format!("{name}.new");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
        let file = openat(&self.dir, &draft, flags, Mode::from_raw_mode(0o600))?;
        let mut file = std::fs::File::from(file);
        for part in parts {
            file.write_all(part).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        }
        renameat(&self.dir, &draft, &self.dir, name)
    }
}
