//! `start`, `stop`, `restart`, `pause`, `resume`: one verb on one, several or all instances.

use crate::args::{Names, Start, Stop, Wait};
use crate::bus::Session;
use crate::failure::Failure;
use crate::progress::{self, OnInterrupt};
use lxhost_dbus::Options;
use lxhost_dbus::proxy::InstanceProxy;
use zbus::wire::OwnedObjectPath;

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Start,
    Stop,
    Restart,
    Freeze,
    Thaw,
}

impl Verb {
    /// The daemon's word.
    fn as_str(self) -> &'static str {
        match self {
            Verb::Start => "start",
            Verb::Stop => "stop",
            Verb::Restart => "restart",
            Verb::Freeze => "freeze",
            Verb::Thaw => "thaw",
        }
    }

    /// What is shown while it lasts.
    fn doing(self) -> &'static str {
        match self {
            Verb::Start => "Starting",
            Verb::Stop => "Stopping",
            Verb::Restart => "Restarting",
            Verb::Freeze => "Pausing",
            Verb::Thaw => "Resuming",
        }
    }
}

/// `start`.
pub(crate) async fn start(session: &Session, args: &Start) -> Result<(), Failure> {
    if args.console.is_some() {
        only_one(&args.which)?;
    }
    let mut options = Options::new();
    if args.autostart {
        options.insert("autostart", true.into());
    }
    run(session, &args.which, Verb::Start, &options).await?;
    if let Some(what) = args.wait {
        for name in &args.which.names {
            super::wait::run(session, &Wait { name: name.clone(), what, timeout: 0 }).await?;
        }
    }
    match &args.console {
        Some(_) => super::console::attach(session, &session.instance(&args.which.names[0]).await?).await.map(drop),
        None => Ok(()),
    }
}

/// `stop` and `restart`.
pub(crate) async fn stop(session: &Session, args: &Stop, verb: Verb) -> Result<(), Failure> {
    let options = stop_options(args);
    if args.console.is_none() {
        return run(session, &args.which, verb, &options).await;
    }
    only_one(&args.which)?;
    let path = session.instance(&args.which.names[0]).await?;
    let job = call(session, &path, verb, &options).await?;
    // The console ends by itself when the instance does.
    super::console::attach(session, &path).await?;
    progress::wait(session, &job, verb.doing(), OnInterrupt::Leave).await.map(drop)
}

/// `pause` and `resume`.
pub(crate) async fn many(session: &Session, which: &Names, verb: Verb) -> Result<(), Failure> {
    run(session, which, verb, &Options::new()).await
}

fn stop_options(args: &Stop) -> Options<'static> {
    let mut options = Options::new();
    if args.force {
        options.insert("mode", "force".into());
    }
    if let Some(seconds) = args.timeout.and_then(|s| u64::try_from(s).ok()) {
        options.insert("timeout-usec", (seconds * 1_000_000).into());
    }
    if args.autostart {
        options.insert("autostart", true.into());
    }
    options
}

fn only_one(which: &Names) -> Result<(), Failure> {
    match which.names.len() {
        1 => Ok(()),
        _ => Err(Failure::usage("--console takes one instance")),
    }
}

async fn run(session: &Session, which: &Names, verb: Verb, options: &Options<'_>) -> Result<(), Failure> {
    if which.all {
        let manager = session.manager().await?;
        let job = session.allowed(|| manager.bulk_operation(verb.as_str(), &[], options)).await?;
        return progress::wait(session, &job, verb.doing(), OnInterrupt::Leave).await.map(drop);
    }
    each(session, &which.names, verb.doing(), async |name| {
        let path = session.instance(name).await?;
        call(session, &path, verb, options).await
    })
    .await
}

async fn call(session: &Session, path: &OwnedObjectPath, verb: Verb, options: &Options<'_>) -> Result<OwnedObjectPath, Failure> {
    let instance: InstanceProxy<'static> = session.object(path).await?;
    match verb {
        Verb::Start => session.allowed(|| instance.start(options)).await,
        Verb::Stop => session.allowed(|| instance.stop(options)).await,
        Verb::Restart => session.allowed(|| instance.restart(options)).await,
        Verb::Freeze => session.allowed(|| instance.freeze(options)).await,
        Verb::Thaw => session.allowed(|| instance.thaw(options)).await,
    }
}

/// Calls at once on the one connection: the bus allows 128 without an answer, the daemon fewer.
pub(crate) const AT_ONCE: usize = 32;

/// Opens a job for each name, one after the other, then waits for them at once, some names at a time. With several names
/// each failure is printed when it is known, and the first decides the exit status.
pub(crate) async fn each(
    session: &Session,
    names: &[String],
    doing: &str,
    open: impl AsyncFn(&str) -> Result<OwnedObjectPath, Failure>,
) -> Result<(), Failure> {
    some(session, names, doing, AT_ONCE, open).await
}

/// As `each`, so many at once.
pub(crate) async fn some(
    session: &Session,
    names: &[String],
    doing: &str,
    at_once: usize,
    open: impl AsyncFn(&str) -> Result<OwnedObjectPath, Failure>,
) -> Result<(), Failure> {
    if let [name] = names {
        let job = open(name).await?;
        return progress::wait(session, &job, &format!("{doing} {name}"), OnInterrupt::Leave).await.map(drop);
    }
    let mut first = None;
    let mut note = |failure: Failure| {
        failure.report();
        first.get_or_insert(failure.code);
    };
    for names in names.chunks(at_once) {
        let mut jobs = Vec::new();
        for name in names {
            match open(name).await {
                Ok(job) => jobs.push((name, job)),
                Err(failure) => note(failure),
            }
        }
        // One line of progress on the terminal, for the job that is waited for first.
        let ends = jobs.iter().enumerate().map(|(i, (name, job))| {
            let session = Session { progress: session.progress && i == 0, ..session.clone() };
            let what = format!("{doing} {name}");
            async move { progress::wait(&session, job, &what, OnInterrupt::Leave).await }
        });
        for end in futures_util::future::join_all(ends).await {
            end.map(drop).unwrap_or_else(&mut note);
        }
    }
    first.map_or(Ok(()), |code| Err(Failure::said(code)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;
    use zbus::wire::Variant;

    fn options(line: &[&str]) -> Options<'static> {
        match Cli::try_parse_from([&["lxctl", "stop"], line].concat()).unwrap().command {
            Command::Stop(args) => stop_options(&args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn stop_says_only_what_was_asked_for() {
        assert!(options(&["c1"]).is_empty());
        assert!(options(&["c1", "--timeout", "-1"]).is_empty());
        assert_eq!(options(&["c1", "--timeout", "5"])["timeout-usec"], Variant::U64(5_000_000));
        assert_eq!(options(&["--force", "c1"])["mode"], Variant::from("force"));
        assert!(Cli::try_parse_from(["lxctl", "stop"]).is_err());
        assert!(Cli::try_parse_from(["lxctl", "stop", "--all", "c1"]).is_err());
        assert!(Cli::try_parse_from(["lxctl", "stop", "c1", "--timeout", "-2"]).is_err());
    }
}
