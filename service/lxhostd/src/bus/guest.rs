//! `org.lxhost1.Guest`: commands, shells and the console of a running instance. Descriptors pass
//! through; data never does.

use super::error::Failure;
use super::options::{self, Options};
use super::rows::object;
use super::{Bus, Call, invalid};
use lxhost_dbus::wire::Values;
use lxhost_engine::ports::{Exec, Streams};
use lxhost_engine::{Error, Question, Result};
use lxhost_model::{Action, ObjectId};
use rustix::pipe::{PipeFlags, pipe_with};
use std::collections::{BTreeMap, HashMap};
use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use zbus::message::Header;
use zbus::wire::OwnedObjectPath;

/// Most arguments and most bytes of arguments and environment of a command.
const MAX_ARGS: usize = 4096;
const MAX_BYTES: usize = 128 * 1024;

pub(super) struct Guest {
    pub(super) bus: Bus,
    pub(super) id: ObjectId,
}

/// A command from its arguments and options; what is left in `options` is not ours.
pub(super) fn command(argv: Vec<String>, options: &mut Options) -> Result<(Exec, bool)> {
    if argv.is_empty() || argv[0].is_empty() {
        return Err(invalid("the command is empty"));
    }
    let environment: BTreeMap<String, String> = options.config("environment")?;
    let bytes = argv.iter().map(String::len).sum::<usize>() + environment.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>();
    if argv.len() > MAX_ARGS || environment.len() > MAX_ARGS || bytes > MAX_BYTES {
        return Err(invalid("the command is too long"));
    }
    if environment.keys().any(|key| key.is_empty() || key.contains('=')) {
        return Err(invalid("a name in the environment is empty or holds an equals sign"));
    }
    let (cwd, user, group) = (options.take("cwd")?, options.take("user")?, options.take("group")?);
    let detach = options.flag("detach")?;
    Ok((Exec { session: 0, argv, environment, cwd, user, group, pty: None }, detach))
}

/// Size and kind of a terminal.
pub(super) fn terminal(exec: &mut Exec, options: &mut Options) -> Result<()> {
    let rows = options.take("rows")?.unwrap_or(24);
    let columns = options.take("cols")?.unwrap_or(80);
    let term = options.take::<String>("term")?.unwrap_or_else(|| "xterm-256color".to_owned());
    exec.environment.entry("TERM".to_owned()).or_insert(term);
    exec.pty = Some((rows, columns));
    Ok(())
}

/// One standard stream: the caller's, /dev/null, or a pipe whose far end goes back.
struct Plumbing {
    given: HashMap<String, OwnedFd>,
    null: Vec<String>,
    back: HashMap<String, zbus::OwnedFd>,
}

impl Plumbing {
    fn stream(&mut self, name: &str, guest_reads: bool) -> Result<OwnedFd> {
        if let Some(fd) = self.given.remove(name) {
            return Ok(fd);
        }
        if self.null.iter().any(|null| null == name) {
            let null = OpenOptions::new().read(guest_reads).write(!guest_reads).open("/dev/null");
            return null.map(OwnedFd::from).map_err(|e| Error::io("open /dev/null", &e));
        }
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| Error::io("make a pipe", &e.into()))?;
        let (theirs, ours) = if guest_reads { (read, write) } else { (write, read) };
        self.back.insert(name.to_owned(), ours.into());
        Ok(theirs)
    }
}

impl Guest {
    async fn pty(
        &self,
        header: &Header<'_>,
        exec: Exec,
        detach: bool,
    ) -> Result<(OwnedObjectPath, zbus::OwnedFd, String), Failure> {
        let caller = self.bus.caller(header).await?;
        let (session, master, path) = self.bus.engine.exec_pty(&caller, self.id, exec, detach).await?;
        self.mind(&caller).await;
        Ok((object(self.bus.publisher.exec(&self.bus, session).await?)?, master.into(), path))
    }

    /// A caller that left while its command was being started was not there to be told from its command.
    async fn mind(&self, caller: &Call) {
        if !self.bus.callers.has(&caller.bus_name) {
            self.bus.engine.caller_gone(&caller.bus_name).await;
        }
    }

    async fn allow(&self, header: &Header<'_>, action: Action, verb: &str) -> Result<()> {
        let caller = self.bus.callers.identify(header).await?;
        let state = self.bus.engine.state();
        let gone = || Error::new(lxhost_engine::Kind::NoSuchInstance, "the instance does not exist any more");
        let record = state.instances.get(&self.id).ok_or_else(gone)?;
        self.bus.engine.allow(&caller, Question::about(action, record, verb)).await
    }
}

#[zbus::interface(name = "org.lxhost1.Guest")]
impl Guest {
    #[zbus(out_args("exec", "pipes"))]
    async fn exec(
        &self,
        #[zbus(header)] header: Header<'_>,
        argv: Vec<String>,
        fds: HashMap<String, zbus::OwnedFd>,
        options: Values,
    ) -> Result<(OwnedObjectPath, HashMap<String, zbus::OwnedFd>), Failure> {
        let mut options = Options::new(options);
        let (exec, detach) = command(argv, &mut options)?;
        let null: Vec<String> = options.take("null")?.unwrap_or_default();
        options.done()?;
        let names = ["stdin", "stdout", "stderr"];
        if let Some(unknown) = fds.keys().chain(&null).find(|name| !names.contains(&name.as_str())) {
            return Err(invalid(format!("unknown stream {}", lxhost_model::name::quoted(unknown))).into());
        }
        let caller = self.bus.caller(&header).await?;
        let given = fds.into_iter().map(|(name, fd)| (name, OwnedFd::from(fd))).collect();
        let mut plumbing = Plumbing { given, null, back: HashMap::new() };
        let streams = Streams {
            stdin: plumbing.stream("stdin", true)?,
            stdout: plumbing.stream("stdout", false)?,
            stderr: plumbing.stream("stderr", false)?,
        };
        let session = self.bus.engine.exec(&caller, self.id, exec, streams, detach).await?;
        self.mind(&caller).await;
        Ok((object(self.bus.publisher.exec(&self.bus, session).await?)?, plumbing.back))
    }

    #[zbus(out_args("exec", "master", "path"))]
    async fn exec_pty(
        &self,
        #[zbus(header)] header: Header<'_>,
        argv: Vec<String>,
        options: Values,
    ) -> Result<(OwnedObjectPath, zbus::OwnedFd, String), Failure> {
        let mut options = Options::new(options);
        let (mut exec, detach) = command(argv, &mut options)?;
        terminal(&mut exec, &mut options)?;
        options.done()?;
        self.pty(&header, exec, detach).await
    }

    #[zbus(out_args("exec", "master", "path"))]
    async fn open_shell(
        &self,
        #[zbus(header)] header: Header<'_>,
        user: &str,
        options: Values,
    ) -> Result<(OwnedObjectPath, zbus::OwnedFd, String), Failure> {
        let mut options = Options::new(options);
        // `su -` reads the user's shell and profile inside, where they belong.
        let user = if user.is_empty() { "root" } else { user };
        if user.starts_with('-') {
            return Err(invalid("a user name does not start with a dash").into());
        }
        let argv = ["su", "-l", "--", user].map(str::to_owned).to_vec();
        let (mut exec, detach) = command(argv, &mut options)?;
        terminal(&mut exec, &mut options)?;
        options.done()?;
        self.pty(&header, exec, detach).await
    }

    #[zbus(out_args("stream", "path"))]
    async fn open_console(
        &self,
        #[zbus(header)] header: Header<'_>,
        kind: &str,
        options: Values,
    ) -> Result<(zbus::OwnedFd, String), Failure> {
        let mut options = Options::new(options);
        let size: (Option<u16>, Option<u16>) = (options.take("rows")?, options.take("cols")?);
        options.done()?;
        if !matches!(kind, "" | "console") {
            return Err(Error::new(lxhost_engine::Kind::Unsupported, "a container has a text console only").into());
        }
        self.allow(&header, Action::InstanceConsole, "instance.console").await?;
        let launcher = &self.bus.engine.ports().launcher;
        let stream = launcher.console(self.id).await?;
        if let (Some(rows), Some(columns)) = size {
            launcher.console_resize(self.id, rows, columns).await?;
        }
        Ok((stream.into(), "/dev/console".to_owned()))
    }

    async fn resize_console(
        &self,
        #[zbus(header)] header: Header<'_>,
        rows: u16,
        cols: u16,
        options: Values,
    ) -> Result<(), Failure> {
        options::none(options)?;
        self.allow(&header, Action::InstanceConsole, "instance.console").await?;
        Ok(self.bus.engine.ports().launcher.console_resize(self.id, rows, cols).await?)
    }

    #[zbus(out_args("log"))]
    async fn get_console_log(&self, #[zbus(header)] header: Header<'_>, options: Values) -> Result<zbus::OwnedFd, Failure> {
        options::none(options)?;
        self.allow(&header, Action::InstanceInspect, "instance.console-log").await?;
        Ok(self.bus.engine.ports().launcher.console_log(self.id).await?.into())
    }
}
