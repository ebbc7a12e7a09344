//! The first process of the container, from its birth to the exec of its init.
//!
//! It runs our code with the rights of the container's root only, and says over `Hand` how far it is. Its own mounts
//! (`/dev`, `/run`, cgroup2) are made after pivot_root(2): no path of the image can lead out of it then.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use lxhost_contract::{Channel, Launch, Mount, Node};
use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat, symlinkat};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};
use rustix::process::{chdir, pivot_root};
use rustix::thread::UnshareFlags;

use crate::disks::target;
use crate::failure::{During, Failure};
use crate::launch::stage::{HOST, ROOT, clone_tree, onto};
use crate::sys::program::{Program, load_seccomp, plain_personality};
use crate::sys::{descriptors, identity, signals, terminal};

/// What is tried when no init was named.
const INITS: [&str; 4] = ["/sbin/init", "/etc/init", "/bin/init", "/bin/sh"];
const NOSUID_NOEXEC: MountFlags = MountFlags::NOSUID.union(MountFlags::NOEXEC);
const SAFE: MountFlags = NOSUID_NOEXEC.union(MountFlags::NODEV);

/// Words of the talk between the monitor and the payload.
pub(crate) mod word {
    /// Monitor: your ids are mapped.
    pub(crate) const MAPPED: u8 = b'm';
    /// Monitor: the stage is complete.
    pub(crate) const STAGED: u8 = b's';
    /// Payload: I wait; beside it the console's master, the directory of devpts, and two route sockets.
    pub(crate) const WAITING: u8 = b'w';
    /// Monitor: become the init.
    pub(crate) const GO: u8 = b'g';
    /// Payload: this failed.
    pub(crate) const FAILED: u8 = b'f';
}

/// What was taken from the stage and is not yet where it belongs.
struct Taken<'a> {
    /// Devices of the host.
    devices: Vec<(OwnedFd, &'a Node)>,
    disks: Vec<(OwnedFd, &'a Mount)>,
    /// What becomes `/run/host`.
    host: OwnedFd,
}

/// What the payload starts from.
#[derive(Debug)]
pub(crate) struct Payload<'a> {
    pub(crate) launch: &'a Launch,
    pub(crate) hand: &'a Channel,
}

impl Payload<'_> {
    /// Runs to the end: returns only when it failed, with an exit status.
    pub(crate) fn run(&self) -> i32 {
        let Err(failure) = self.become_init();
        let mut message = vec![word::FAILED];
        message.extend(failure.to_bytes());
        let _ = self.hand.send(&message, &[]);
        1
    }

    fn become_init(&self) -> Result<std::convert::Infallible, Failure> {
        descriptors::keep_only(&[self.hand.as_fd()]).during("close descriptors")?;
        rustix::process::setsid().during("setsid")?;
        self.wait(word::MAPPED)?;
        identity::become_user(0, 0, &[]).during("become root of the container")?;
        // After the ids, or the message queues' file system belongs to nobody; after the birth in the cgroup, or the
        // cgroup namespace has the wrong root.
        crate::sys::birth::unshare(UnshareFlags::NEWIPC | UnshareFlags::NEWCGROUP).during("unshare ipc and cgroup")?;
        rustix::system::sethostname(self.launch.hostname.as_bytes()).during("sethostname")?;
        terminal::loopback_up().during("loopback")?;
        self.wait(word::STAGED)?;
        let taken = self.enter_root()?;
        self.mount_own(&taken)?;
        mount_disks(taken.disks)?;
        let (master, slave, pts) = self.console()?;
        let (changes, questions) = crate::addresses::open().during("route sockets")?;
        let ours = [master.as_fd(), pts.as_fd(), changes.as_fd(), questions.as_fd()];
        self.hand.send(&[word::WAITING], &ours).map_err(|_| Failure::new("hand", Errno::PIPE))?;
        drop((master, pts, changes, questions));
        self.wait(word::GO)?;
        self.exec(&slave)
    }

    fn wait(&self, wanted: u8) -> Result<(), Failure> {
        match self.hand.receive() {
            Ok(received) if received.bytes == [wanted] => Ok(()),
            // The monitor is gone: nobody is there to be told.
            _ => crate::sys::birth::exit(1),
        }
    }

    /// Copies the stage into a mount namespace of the container's own (which locks it) and makes its root ours.
    fn enter_root(&self) -> Result<Taken<'_>, Failure> {
        crate::sys::birth::unshare(UnshareFlags::NEWNS).during("unshare mounts")?;
        let mut devices = Vec::new();
        for node in &self.launch.nodes {
            match clone_tree(CWD, &node.source, false) {
                Ok(tree) => devices.push((tree, node)),
                Err(Errno::NOENT) if node.optional => {}
                Err(errno) => return Err(Failure::new(format!("device {}", node.source.display()), errno)),
            }
        }
        // The working directory has followed into the copy, open descriptors have not.
        // A mount that came by the copy is locked to its place and cannot become the root; a clone of it can.
        let stage = openat(CWD, ".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).during("enter the stage")?;
        let host = clone_tree(stage.as_fd(), Path::new(HOST), true).during("/run/host")?;
        let mut disks = Vec::new();
        for (n, disk) in self.launch.disks.iter().enumerate() {
            match clone_tree(stage.as_fd(), Path::new(&crate::disks::place(n)), true) {
                Ok(tree) => disks.push((tree, disk)),
                Err(Errno::NOENT) if disk.optional => {}
                Err(errno) => return Err(Failure::new(format!("mount {}", disk.target.display()), errno)),
            }
        }
        let tree = clone_tree(stage.as_fd(), Path::new(ROOT), true).during("clone the root")?;
        let place = openat(&stage, ROOT, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).during("clone the root")?;
        onto(&tree, place.as_fd()).during("attach the root")?;
        rustix::process::fchdir(&tree).during("enter the root")?;
        pivot_root(".", ".").during("pivot_root")?;
        unmount(".", UnmountFlags::DETACH).during("leave the old root")?;
        chdir("/").during("enter the root")?;
        Ok(Taken { devices, disks, host })
    }

    fn mount_own(&self, taken: &Taken<'_>) -> Result<(), Failure> {
        own("cgroup2", "/sys/fs/cgroup", SAFE, "nsdelegate,memory_recursiveprot")?;
        own("tmpfs", "/dev", NOSUID_NOEXEC, "mode=755,size=4m,nr_inodes=64k")?;
        for (link, to) in [
            ("/dev/fd", "/proc/self/fd"),
            ("/dev/stdin", "/proc/self/fd/0"),
            ("/dev/stdout", "/proc/self/fd/1"),
            ("/dev/stderr", "/proc/self/fd/2"),
            ("/dev/ptmx", "pts/ptmx"),
        ] {
            symlinkat(to, CWD, link).during(link)?;
        }
        for (tree, node) in &taken.devices {
            let what = || format!("device {}", node.target.display());
            let target = touch(&node.target).during(what())?;
            onto(tree, target.as_fd()).during(what())?;
        }
        own("devpts", "/dev/pts", NOSUID_NOEXEC, "newinstance,gid=5,mode=620,ptmxmode=666")?;
        let size = match self.launch.run_size {
            0 => String::new(),
            bytes => format!(",size={bytes}"),
        };
        own("tmpfs", "/dev/shm", MountFlags::NOSUID | MountFlags::NODEV, &format!("mode=1777{size}"))?;
        own("mqueue", "/dev/mqueue", SAFE, "")?;
        own("tmpfs", "/run", MountFlags::NOSUID | MountFlags::NODEV, &format!("mode=755{size}"))?;
        let place = directory("/run/host").during("/run/host")?;
        onto(&taken.host, place.as_fd()).during("/run/host")
    }

    /// A terminal of the container's own devpts as `/dev/console`.
    fn console(&self) -> Result<(OwnedFd, OwnedFd, OwnedFd), Failure> {
        let pts = openat(CWD, "/dev/pts", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).during("console")?;
        let (master, slave) = crate::terminal::open(pts.as_fd()).during("console")?;
        let (rows, columns) = (self.launch.rows, self.launch.columns);
        crate::terminal::resize(&master, or(rows, 24), or(columns, 80)).during("console")?;
        let number = terminal::pty_number(&master).during("console")?;
        touch(Path::new("/dev/console")).during("console")?;
        mount_bind(format!("/dev/pts/{number}"), "/dev/console").during("console")?;
        Ok((master, slave, pts))
    }

    fn exec(&self, console: &OwnedFd) -> Result<std::convert::Infallible, Failure> {
        rustix::stdio::dup2_stdin(console).during("console")?;
        rustix::stdio::dup2_stdout(console).during("console")?;
        rustix::stdio::dup2_stderr(console).during("console")?;
        if self.launch.controlling_tty {
            terminal::make_controlling(console).during("controlling terminal")?;
        }
        let mut env = self.launch.env.clone();
        env.push("NOTIFY_SOCKET=/run/host/notify".into());
        if !self.launch.uuid.is_empty() {
            env.push(format!("container_uuid={}", self.launch.uuid).into());
        }
        let names: Vec<OsString> = match self.launch.argv.first() {
            Some(named) => vec![named.clone()],
            None => INITS.iter().map(OsString::from).collect(),
        };
        let programs = names.iter().map(|name| self.program(name, &env)).collect::<Result<Vec<_>, _>>();
        let programs = programs.during("arguments of the init")?;
        settle(self.launch.capabilities)?;
        load_seccomp(&self.launch.seccomp.0).during("seccomp")?;
        let mut failure = Failure::new("exec init", Errno::NOENT);
        for (name, program) in names.iter().zip(&programs) {
            let errno = program.exec(name);
            failure = Failure::new(format!("exec {}", Path::new(name).display()), errno);
            if errno != Errno::NOENT {
                break;
            }
        }
        Err(failure)
    }

    fn program(&self, name: &OsStr, env: &[OsString]) -> Result<Program, Errno> {
        let mut argv = vec![name.to_owned()];
        argv.extend(self.launch.argv.iter().skip(1).cloned());
        Program::new(&argv, env)
    }
}

/// Leaves what was inherited from the daemon: signals, umask, personality, keyring, capabilities beyond `kept`.
pub(crate) fn settle(kept: u64) -> Result<(), Failure> {
    signals::reset();
    rustix::process::umask(Mode::from_raw_mode(0o022));
    plain_personality();
    match identity::new_session_keyring() {
        // Kernels without keyrings, and a container whose key quota is used up: the monitor's own, empty, remains.
        Ok(()) | Err(Errno::NOSYS | Errno::DQUOT | Errno::NOMEM) => {}
        Err(errno) => return Err(Failure::new("session keyring", errno)),
    }
    identity::bound_capabilities(kept).during("capabilities")
}

/// Disks come last, so that one may lie in `/run`; as clones of what was copied they may be taken away again.
fn mount_disks(disks: Vec<(OwnedFd, &Mount)>) -> Result<(), Failure> {
    let root = openat(CWD, "/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).during("mount disks")?;
    for (tree, disk) in disks {
        let what = || format!("mount {}", disk.target.display());
        let kind = rustix::fs::fstat(&tree).during(what())?.st_mode;
        let file = !rustix::fs::FileType::from_raw_mode(kind).is_dir();
        let target = target::make(&root, &disk.target, file, |make| make()).during(what())?;
        onto(&tree, target.as_fd()).during(what())?;
    }
    Ok(())
}

fn own(kind: &str, path: &str, flags: MountFlags, options: &str) -> Result<(), Failure> {
    let what = || format!("mount {path}");
    match mkdirat(CWD, path, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST | Errno::ROFS | Errno::PERM) => {}
        Err(errno) => return Err(Failure::new(what(), errno)),
    }
    let options = std::ffi::CString::new(options).unwrap_or_default();
    mount(kind, path, kind, flags, options.as_c_str()).during(what())
}

fn touch(path: &Path) -> Result<OwnedFd, Errno> {
    if let Some(parent) = path.parent()
        && parent != Path::new("/dev")
    {
        directory(parent)?;
    }
    openat(CWD, path, OFlags::CREATE | OFlags::RDONLY | OFlags::CLOEXEC, Mode::from_raw_mode(0o644))
}

fn directory(path: impl AsRef<Path>) -> Result<OwnedFd, Errno> {
    match mkdirat(CWD, path.as_ref(), Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    openat(CWD, path.as_ref(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}

fn or(value: u16, default: u16) -> u16 {
    if value == 0 { default } else { value }
}
