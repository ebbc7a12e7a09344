//! Who calls: unique names and the users behind them, asked of the bus once per connection.

use lxhost_engine::ports::Caller;
use lxhost_engine::{Engine, Error, Kind};
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zbus::Connection;
use zbus::fdo::DBusProxy;
use zbus::message::{Flags, Header};

/// Calls that one connection may have under way before more are refused.
const MAX_CALLS: usize = 64;
/// Calls that all connections of one user may have under way; root has no such limit.
const MAX_CALLS_OF_USER: usize = 256;

/// A caller, and the room that its call takes until this is dropped.
pub(super) struct Call {
    caller: Caller,
    _room: Arc<()>,
}

impl Deref for Call {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

/// A connection that has called. Its user is unknown while the bus is asked.
#[derive(Default)]
struct Known {
    uid: Option<u32>,
    /// One reference is ours, each further one a call's.
    room: Arc<()>,
}

impl Known {
    fn calls(&self) -> usize {
        Arc::strong_count(&self.room) - 1
    }
}

/// Known callers by unique name.
pub(super) struct Callers {
    connection: Connection,
    known: Mutex<HashMap<String, Known>>,
}

impl Callers {
    pub(super) fn new(connection: Connection) -> Self {
        Callers { connection, known: Mutex::default() }
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The caller of a message. On a peer-to-peer connection there is no sender: nobody is let in.
    pub(super) async fn identify(&self, header: &Header<'_>) -> Result<Call, Error> {
        let interactive = header.primary().flags().contains(Flags::ALLOW_INTERACTIVE_AUTH);
        let Some(sender) = header.sender() else {
            return Err(Error::new(Kind::AccessDenied, "the message has no sender"));
        };
        let bus_name = sender.to_string();
        // Known before the bus is asked: if it leaves meanwhile, it is forgotten, and that is seen below.
        let (room, known) = {
            let mut all = self.locked();
            let known = all.entry(bus_name.clone()).or_default();
            (known.room.clone(), known.uid)
        };
        let uid = match known {
            Some(uid) => uid,
            None => self.user(&bus_name).await.inspect_err(|_| drop(self.locked().remove(&bus_name)))?,
        };
        let mut all = self.locked();
        match all.get_mut(&bus_name) {
            Some(known) => known.uid = Some(uid),
            None => return Err(Error::new(Kind::AccessDenied, format!("{bus_name} has left the bus"))),
        }
        if all.get(&bus_name).is_some_and(|known| known.calls() > MAX_CALLS) {
            let what = format!("more than {MAX_CALLS} calls are under way on this connection");
            return Err(Error::new(Kind::LimitsExceeded, what));
        }
        let of_user = || all.values().filter(|known| known.uid == Some(uid)).map(Known::calls).sum::<usize>();
        if uid != 0 && of_user() > MAX_CALLS_OF_USER {
            let what = format!("more than {MAX_CALLS_OF_USER} calls of user {uid} are under way");
            return Err(Error::new(Kind::LimitsExceeded, what));
        }
        Ok(Call { caller: Caller { bus_name, uid, interactive }, _room: room })
    }

    /// Whether a caller is still there, as far as the bus has told.
    pub(super) fn has(&self, bus_name: &str) -> bool {
        self.locked().contains_key(bus_name)
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
