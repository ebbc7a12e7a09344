//! Who calls: unique names and the users behind them, asked of the bus once per connection.

use lxhost_engine::ports::Caller;
use lxhost_engine::{Engine, Error, Kind};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zbus::Connection;
use zbus::fdo::DBusProxy;
use zbus::message::{Flags, Header};

/// Calls that one connection may have under way before more are refused.
const MAX_CALLS: usize = 64;

/// Known callers by unique name.
pub(super) struct Callers {
    connection: Connection,
    users: Mutex<HashMap<String, (u32, Arc<()>)>>,
}

impl Callers {
    pub(super) fn new(connection: Connection) -> Self {
        Callers { connection, users: Mutex::default() }
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<String, (u32, Arc<()>)>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The caller of a message. On a peer-to-peer connection there is no sender: the peer is this user.
    pub(super) async fn identify(&self, header: &Header<'_>) -> Result<Caller, Error> {
        let interactive = header.primary().flags().contains(Flags::ALLOW_INTERACTIVE_AUTH);
        let Some(sender) = header.sender() else {
            return Err(Error::new(Kind::AccessDenied, "the message has no sender"));
        };
        let bus_name = sender.to_string();
        let known = self.locked().get(&bus_name).map(|(uid, calls)| (*uid, Arc::strong_count(calls)));
        let uid = match known {
            Some((_, calls)) if calls > MAX_CALLS => {
                return Err(Error::new(
                    Kind::LimitsExceeded,
                    format!("more than {MAX_CALLS} calls are under way on this connection"),
                ));
            }
            Some((uid, _)) => uid,
            None => {
                let uid = self.user(&bus_name).await?;
                self.locked().insert(bus_name.clone(), (uid, Arc::default()));
                uid
            }
        };
        Ok(Caller { bus_name, uid, interactive })
    }

    async fn user(&self, bus_name: &str) -> Result<u32, Error> {
        let denied =
            |e: &dyn std::fmt::Display| Error::new(Kind::AccessDenied, format!("the bus does not say who {bus_name} is: {e}"));
        let bus = DBusProxy::new(&self.connection).await.map_err(|e| denied(&e))?;
        let name = zbus::names::BusName::try_from(bus_name).map_err(|e| denied(&e))?;
        bus.get_connection_unix_user(name).await.map_err(|e| denied(&e))
    }
}

/// Forgets callers that leave the bus, and ends the commands that were to end with them.
pub(super) async fn watch(callers: Arc<Callers>, engine: Engine, connection: Connection) {
    use futures_util::StreamExt;
    let Ok(bus) = DBusProxy::new(&connection).await else { return };
    let Ok(mut changes) = bus.receive_name_owner_changed_with_args(&[(2, "")]).await else { return };
    while let Some(change) = changes.next().await {
        let Ok(args) = change.args() else { continue };
        let name = args.name().as_str();
        if callers.locked().remove(name).is_some() {
            engine.caller_gone(name).await;
        }
    }
}
