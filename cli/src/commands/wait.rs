//! `wait`: until an instance runs, is ready, is stopped or has an address. Listens; never polls.

use crate::args::{Wait, WaitFor};
use crate::bus::Session;
use crate::failure::Failure;
use crate::values::{list, text};
use futures_util::StreamExt;
use lxhost_dbus::wire::Values;
use lxhost_model::Kind;
use std::time::Duration;
use zbus::wire::{ObjectPath, OwnedObjectPath};
use zbus::{MatchRule, MessageStream};

/// Waits.
pub(crate) async fn run(session: &Session, args: &Wait) -> Result<(), Failure> {
    let path = session.instance(&args.name).await?;
    let waiting = until(session, &path, args);
    if args.timeout == 0 {
        return waiting.await;
    }
    let late = || Failure::of(Kind::Timeout, format!("{} is not {} after {} s", args.name, word(args.what), args.timeout));
    tokio::time::timeout(Duration::from_secs(args.timeout), waiting).await.map_err(|_| late())?
}

fn word(what: WaitFor) -> &'static str {
    match what {
        WaitFor::Running => "running",
        WaitFor::Ready => "ready",
        WaitFor::Stopped => "stopped",
        WaitFor::Address => "reachable by an address",
    }
}

async fn until(session: &Session, path: &OwnedObjectPath, args: &Wait) -> Result<(), Failure> {
    // Listening comes first, so that nothing happens between the look and the wait.
    let changed = MatchRule::builder()
        .msg_type(zbus::message::Type::Signal)
        .interface("org.freedesktop.DBus.Properties")
        .member("PropertiesChanged")
        .path(path.clone())
        .build()?;
    let gone = MatchRule::builder()
        .msg_type(zbus::message::Type::Signal)
        .interface("org.freedesktop.DBus.ObjectManager")
        .member("InterfacesRemoved")
        .path(format!("{}/instance", lxhost_dbus::path::MANAGER))
        .build()?;
    let mut events = futures_util::stream::select(
        MessageStream::for_match_rule(changed, &session.conn, None).await?,
        MessageStream::for_match_rule(gone, &session.conn, None).await?,
    );
    let object = ObjectPath::from(path);
    let mut first = true;
    loop {
        let properties = session.properties(&object, "Instance").await;
        match properties {
            Ok(properties) if reached(args.what, &properties, first)? => return Ok(()),
            Ok(_) => (),
            // An ephemeral instance that stopped is gone.
            Err(failure) => match (exists(session, args).await, args.what) {
                (true, _) => return Err(failure),
                (false, WaitFor::Stopped) => return Ok(()),
                (false, _) => return Err(Failure::of(Kind::NoSuchInstance, format!("{} was deleted", args.name))),
            },
        }
        first = false;
        if events.next().await.is_none() {
            return Err(Failure::of(Kind::Interrupted, "the connection to the system bus is gone"));
        }
    }
}

async fn exists(session: &Session, args: &Wait) -> bool {
    !matches!(session.instance(&args.name).await, Err(failure) if failure.kind == Some(Kind::NoSuchInstance))
}

/// Whether the instance is there; an error when it cannot get there. Only the `first` look takes
/// "stopped" for an end: later it may be on its way through a restart.
fn reached(what: WaitFor, properties: &Values, first: bool) -> Result<bool, Failure> {
    let state = text(properties, "State");
    let reached = match what {
        WaitFor::Running => state == "running",
        WaitFor::Ready => state == "running" && text(properties, "SubState") == "ready",
        WaitFor::Stopped => state == "stopped",
        WaitFor::Address => state == "running" && !list(properties, "Addresses").is_empty(),
    };
    if !reached && state == "error" {
        let name = text(properties, "Name");
        return Err(Failure::of(Kind::InvalidState, format!("{name} is in state error")));
    }
    if !reached && first && state == "stopped" && matches!(what, WaitFor::Ready | WaitFor::Address) {
        let name = text(properties, "Name");
        return Err(Failure::of(Kind::NotRunning, format!("{name} is stopped, so it will not become {}", word(what)))
            .hint(format!("lxctl start {name}")));
    }
    Ok(reached)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zbus::wire::{OwnedVariant, Variant};

    fn instance(state: &str, sub: &str, addresses: &[&str]) -> Values {
        let own = |v: Variant<'_>| OwnedVariant::try_from(v).unwrap();
        Values::from([
            ("State".to_owned(), own(state.into())),
            ("SubState".to_owned(), own(sub.into())),
            ("Addresses".to_owned(), own(addresses.to_vec().into())),
        ])
    }

    #[test]
    fn each_goal_has_its_own_sign() {
        let booting = instance("running", "booting", &[]);
        let ready = instance("running", "ready", &["10.0.0.2@eth0"]);
        assert!(reached(WaitFor::Running, &booting, true).unwrap());
        assert!(!reached(WaitFor::Ready, &booting, true).unwrap());
        assert!(!reached(WaitFor::Address, &booting, true).unwrap());
        assert!(!reached(WaitFor::Stopped, &booting, true).unwrap());
        assert!(reached(WaitFor::Ready, &ready, true).unwrap());
        assert!(reached(WaitFor::Address, &ready, true).unwrap());
        assert!(reached(WaitFor::Stopped, &instance("stopped", "", &[]), true).unwrap());
    }

    #[test]
    fn waiting_for_what_cannot_come_is_an_error() {
        let stopped = instance("stopped", "", &[]);
        assert_eq!(reached(WaitFor::Ready, &stopped, true).unwrap_err().code, 5);
        assert!(!reached(WaitFor::Running, &stopped, true).unwrap());
        assert!(!reached(WaitFor::Ready, &stopped, false).unwrap());
        assert!(reached(WaitFor::Stopped, &instance("error", "", &[]), true).is_err());
    }
}
