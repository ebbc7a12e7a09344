//! The two processes that turn a copy of the monitor into a program of the container.
//!
//! The first is born in the sessions' cgroup, enters all namespaces by the init's pidfd and makes the second as its own
//! sibling (CLONE_PARENT), so that the monitor is told of its end. Only the second is in the pid namespace.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use lxhost_contract::{Channel, Exec, Launch, Refusal, Refused, Value};
use rustix::io::Errno;
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};

use super::users::{Unknown, User, look_up};
use crate::launch::{limits, settle};
use crate::sys::birth::{Birth, child};
use crate::sys::program::{Program, load_seccomp};
use crate::sys::{descriptors, identity, terminal};

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// First byte of a report: the second process has this pid.
pub(super) const BORN: u8 = b'p';
/// First byte of a report: refused, and a `Refused` record follows.
pub(super) const REFUSED: u8 = b'r';

/// What both processes work with.
pub(super) struct Entry<'a> {
    pub(super) exec: &'a Exec,
    pub(super) launch: &'a Launch,
    pub(super) init: BorrowedFd<'a>,
    pub(super) report: &'a Channel,
    /// Standard streams, or the slave of a terminal three times.
    pub(super) streams: [BorrowedFd<'a>; 3],
}

impl Entry<'_> {
    /// The first process: with host rights until it has entered.
    pub(super) fn enter(&self) -> i32 {
        match self.try_enter() {
            Ok(pid) => {
                let mut message = vec![BORN];
                message.extend_from_slice(&pid.to_ne_bytes());
                i32::from(self.report.send(&message, &[]).is_err())
            }
            Err(refused) => self.refuse(&refused),
        }
    }

    fn refuse(&self, refused: &Refused) -> i32 {
        let mut message = vec![REFUSED];
        refused.encode(&mut message);
        let _ = self.report.send(&message, &[]);
        1
    }

    fn try_enter(&self) -> Result<i32, Refused> {
        let [stdin, stdout, stderr] = self.streams;
        descriptors::keep_only(&[self.init, self.report.as_fd(), stdin, stdout, stderr]).map_err(failed("descriptors"))?;
        limits::set(self.launch, None).map_err(|failure| failed(&failure.step)(failure.errno))?;
        let score = self.launch.oom_score.to_string();
        std::fs::write("/proc/self/oom_score_adj", score).map_err(|error| failed("oom_score_adj")(errno_of(&error)))?;
        let all = ThreadNameSpaceType::USER
            | ThreadNameSpaceType::MOUNT
            | ThreadNameSpaceType::PROCESS_ID
            | ThreadNameSpaceType::NETWORK
            | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
            | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
            | ThreadNameSpaceType::CONTROL_GROUP;
        move_into_thread_name_spaces(self.init, all).map_err(not_running)?;
        identity::become_user(0, 0, &[]).map_err(failed("become root of the container"))?;
        let birth = Birth { flags: libc::CLONE_PARENT, ..Birth::default() };
        let second = child(birth, || {
            let Err(refused) = self.become_program();
            self.refuse(&refused)
        });
        second.map(|child| child.pid.as_raw_nonzero().get()).map_err(not_running)
    }

    /// The second process: inside, with the rights of the container's root.
    fn become_program(&self) -> Result<std::convert::Infallible, Refused> {
        rustix::process::setsid().map_err(failed("setsid"))?;
        let user = look_up(&self.exec.user, &self.exec.group).map_err(|unknown| match unknown {
            Unknown::User => refused(Refusal::NoSuchUser, Errno::NOENT, &self.exec.user),
            Unknown::Group => refused(Refusal::NoSuchGroup, Errno::NOENT, &self.exec.group),
        })?;
        let [stdin, stdout, stderr] = self.streams;
        if self.exec.pty {
            terminal::make_controlling(stdin).map_err(failed("controlling terminal"))?;
            // The owner's rights on its own terminal, as login(1) gives them; group tty stays.
            let owner = Some(rustix::fs::Uid::from_raw(user.uid));
            rustix::fs::fchown(stdin, owner, None).map_err(failed("terminal"))?;
        }
        rustix::stdio::dup2_stdin(stdin).map_err(failed("stdin"))?;
        rustix::stdio::dup2_stdout(stdout).map_err(failed("stdout"))?;
        rustix::stdio::dup2_stderr(stderr).map_err(failed("stderr"))?;
        settle(self.launch.capabilities).map_err(|failure| failed(&failure.step)(failure.errno))?;
        load_seccomp(&self.launch.seccomp.0).map_err(failed("seccomp"))?;
        identity::become_user(user.uid, user.gid, &user.groups).map_err(failed("become the user"))?;
        self.enter_directory(&user)?;
        self.exec(&user)
    }

    fn enter_directory(&self, user: &User) -> Result<(), Refused> {
        if self.exec.cwd.as_os_str().is_empty() {
            let home = rustix::process::chdir(user.home.as_str());
            return home.or_else(|_| rustix::process::chdir("/")).map_err(failed("/"));
        }
        rustix::process::chdir(&self.exec.cwd).map_err(|errno| {
            let reason = if errno == Errno::ACCESS { Refusal::PermissionDenied } else { Refusal::NoSuchDirectory };
            refused(reason, errno, &self.exec.cwd.display().to_string())
        })
    }

    fn exec(&self, user: &User) -> Result<std::convert::Infallible, Refused> {
        let env = environment(&self.exec.env, user);
        let (command, argv) = match self.exec.argv.split_first() {
            Some((command, rest)) => (command.clone(), arguments(command, rest, self.exec.login)),
            None => {
                let shell = OsString::from(&user.shell);
                (shell.clone(), arguments(&shell, &[], self.exec.login))
            }
        };
        let shown = command.to_string_lossy().into_owned();
        let program = Program::new(&argv, &env).map_err(failed("arguments"))?;
        let errno = run(&program, &command, &env);
        let reason = match errno {
            Errno::NOENT | Errno::NOTDIR => Refusal::CommandNotFound,
            Errno::ACCESS | Errno::PERM | Errno::ISDIR | Errno::NOEXEC => Refusal::PermissionDenied,
            _ => Refusal::Failed,
        };
        Err(refused(reason, errno, &shown))
    }
}

/// Tries a command in every directory of PATH, as execvp(3): EACCES is remembered, a missing one goes on.
fn run(program: &Program, command: &OsStr, env: &[OsString]) -> Errno {
    if command.as_bytes().contains(&b'/') {
        return program.exec(command);
    }
    if command.is_empty() {
        return Errno::NOENT;
    }
    let set = env.iter().find_map(|pair| pair.as_bytes().strip_prefix(b"PATH="));
    let path = set.unwrap_or(DEFAULT_PATH.as_bytes());
    let mut result = Errno::NOENT;
    for directory in path.split(|byte| *byte == b':').filter(|directory| directory.starts_with(b"/")) {
        let candidate = OsString::from_vec([directory, b"/", command.as_bytes()].concat());
        match program.exec(&candidate) {
            Errno::NOENT | Errno::NOTDIR => {}
            Errno::ACCESS => result = Errno::ACCESS,
            other => return other,
        }
    }
    result
}

fn arguments(command: &OsStr, rest: &[OsString], login: bool) -> Vec<OsString> {
    let mut argv = Vec::with_capacity(rest.len() + 1);
    if login {
        let name = std::path::Path::new(command).file_name().unwrap_or(command);
        argv.push([OsStr::new("-"), name].concat_os());
    } else {
        argv.push(command.to_owned());
    }
    argv.extend_from_slice(rest);
    argv
}

/// Joins parts of a name that need not be UTF-8.
trait ConcatOs {
    fn concat_os(&self) -> OsString;
}

impl ConcatOs for [&OsStr; 2] {
    fn concat_os(&self) -> OsString {
        let mut whole = self[0].to_owned();
        whole.push(self[1]);
        whole
    }
}

/// The environment asked for, completed with what every login has.
fn environment(asked: &[OsString], user: &User) -> Vec<OsString> {
    let mut env = asked.to_vec();
    for (name, value) in [
        ("PATH=", DEFAULT_PATH),
        ("HOME=", &user.home),
        ("USER=", &user.name),
        ("LOGNAME=", &user.name),
        ("SHELL=", &user.shell),
        ("container=", "lxhost"),
    ] {
        if !asked.iter().any(|pair| pair.as_bytes().starts_with(name.as_bytes())) {
            env.push(format!("{name}{value}").into());
        }
    }
    env
}

fn refused(reason: Refusal, errno: Errno, subject: &str) -> Refused {
    Refused { reason, errno: errno.raw_os_error(), subject: subject.to_owned() }
}

fn failed(step: &str) -> impl Fn(Errno) -> Refused {
    move |errno| refused(Refusal::Failed, errno, step)
}

fn not_running(errno: Errno) -> Refused {
    refused(Refusal::NotRunning, errno, "enter the container")
}

fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// `/dev/null` of the host, for streams that were not given.
pub(super) fn null() -> Result<OwnedFd, Errno> {
    use rustix::fs::{Mode, OFlags};
    rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> User {
        User { name: "ada".into(), uid: 1, gid: 1, groups: vec![], home: "/home/ada".into(), shell: "/bin/zsh".into() }
    }

    #[test]
    fn a_login_shell_has_a_dash_before_its_name() {
        assert_eq!(arguments(OsStr::new("/bin/zsh"), &[], true), ["-zsh"]);
        assert_eq!(arguments(OsStr::new("/bin/zsh"), &["-c".into()], false), ["/bin/zsh", "-c"]);
    }

    #[test]
    fn what_was_asked_for_is_not_overwritten() {
        let env = environment(&["HOME=/tmp".into(), "LANG=C".into()], &user());
        assert!(env.contains(&"HOME=/tmp".into()) && env.contains(&"USER=ada".into()));
        assert!(!env.contains(&"HOME=/home/ada".into()));
    }
}
