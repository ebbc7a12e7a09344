//! Changes of networks that are undone by themselves: how they are asked for, told of, confirmed and undone. Called by
//! the verbs of `network`, and of its forwards and load balancers.

use crate::bus::Session;
use crate::commands::power;
use crate::failure::Failure;
use crate::progress::{self, OnInterrupt};
use crate::render;
use crate::values;
use lxhost_dbus::Options;
use lxhost_dbus::proxy::NetworkProxy;
use lxhost_model::Kind;
use lxhost_model::checkpoint::Trial;
use std::io::IsTerminal;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Exit status of who was stopped by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// `options`, and the time that a change has.
pub(in crate::commands) fn within(mut options: Options<'_>, trial: Option<Trial>) -> Options<'_> {
    if let Some(trial) = trial {
        options.insert("rollback-usec", trial.usec().into());
    }
    options
}

/// Says, before it is too late, that a change which nothing would undo is about what this host is reached by.
pub(super) async fn advise(session: &Session, name: &str, network: &NetworkProxy<'_>, trial: Option<Trial>) {
    if trial.is_some() || session.quiet {
        return;
    }
    // Whoever cannot be told is not kept from the change.
    let Ok(state) = network.get_state(&Options::new()).await else { return };
    if state.get("default-route").is_some_and(|carries| values::json(carries) == true) {
        let name = render::printable(name);
        eprintln!(
            "Note: this host's default route leads through network {name}; --rollback=60s undoes a change unless confirmed"
        );
    }
}

/// Has a change confirmed that was made: by whoever sits at the terminal, or later by `network confirm`.
pub(in crate::commands) async fn settle(session: &Session, names: &[String], trial: Option<Trial>) -> Result<(), Failure> {
    if trial.is_none() {
        return Ok(());
    }
    let mut networks = Vec::new();
    for name in names {
        networks.push((name, session.network(name).await?));
    }
    let Some((_, first)) = networks.first() else { return Ok(()) };
    let until = first.rollback_at().await?;
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        if !session.quiet {
            let all = names.join(" ");
            let (all, until) = (render::printable(&all), render::date(until));
            eprintln!("It is undone at {until} unless confirmed: lxctl network confirm {all}");
        }
        return Ok(());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(Duration::ZERO, |since| since);
    let left = Duration::from_micros(until).saturating_sub(now);
    eprint!("Press Enter within {} seconds to keep the change, Ctrl-C to undo it: ", left.as_secs());
    let failed = tokio::select! {
        entered = enter() => if entered { None } else { Some(Failure::said(INTERRUPTED)) },
        _ = tokio::signal::ctrl_c() => Some(Failure::said(INTERRUPTED)),
        () = tokio::time::sleep(left) => Some(Failure::of(Kind::Timeout, "nobody confirmed the change: it is undone")),
    };
    let Some(failed) = failed else { return confirm(session, names).await };
    eprintln!();
    for (name, network) in networks {
        // The daemon may have done it already; it does in any case.
        if let Ok(job) = network.rollback(&Options::new()).await {
            progress::wait(session, &job, &format!("Undoing the change of network {name}"), OnInterrupt::Leave).await?;
        }
    }
    Err(failed)
}

/// Waits for a line on the terminal; `false` at its end. Nothing keeps the thread from ending with the process.
async fn enter() -> bool {
    let (told, line) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let read = std::io::stdin().read_line(&mut String::new()).is_ok_and(|bytes| bytes > 0);
        let _ = told.send(read);
    });
    line.await.unwrap_or(false)
}

/// `network confirm`.
pub(super) async fn confirm(session: &Session, names: &[String]) -> Result<(), Failure> {
    let open = async |name: &str| {
        let (network, none) = (session.network(name).await?, Options::new());
        session.allowed(|| network.confirm(&none)).await
    };
    power::each(session, names, "Confirming the change of network", open).await?;
    names.iter().for_each(|name| session.say(format!("Change of network {name} confirmed")));
    Ok(())
}

/// `network rollback`.
pub(super) async fn undo(session: &Session, names: &[String]) -> Result<(), Failure> {
    let open = async |name: &str| {
        let (network, none) = (session.network(name).await?, Options::new());
        session.allowed(|| network.rollback(&none)).await
    };
    power::each(session, names, "Undoing the change of network", open).await?;
    names.iter().for_each(|name| session.say(format!("Change of network {name} undone")));
    Ok(())
}
