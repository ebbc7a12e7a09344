//! The wire side of one question to Polkit: arguments, the answer in our words, and the
//! cancellation when nobody waits for it any more. Interface:
//! org.freedesktop.PolicyKit1.Authority(8). Used by `polkit` alone.

use lxhost_model::Action;
use std::collections::HashMap;
use std::time::Duration;
use zbus::{Connection, Variant};

pub(crate) const NAME: &str = "org.freedesktop.PolicyKit1";
const PATH: &str = "/org/freedesktop/PolicyKit1/Authority";
const INTERFACE: &str = "org.freedesktop.PolicyKit1.Authority";
const ALLOW_USER_INTERACTION: u32 = 1;

/// What Polkit said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
    /// Authentication could change the answer.
    Challenge,
    /// Somebody closed the dialog.
    Dismissed,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// There is no Polkit on this bus, and none can be started.
    Absent,
    /// Nothing came in this time.
    Silence(Duration),
    /// An error came.
    Error(String),
}

/// A question.
pub(crate) struct Call<'a> {
    pub(crate) bus: &'a Connection,
    pub(crate) caller: &'a str,
    pub(crate) action: Action,
    pub(crate) details: &'a [(&'static str, String)],
    pub(crate) dialog: bool,
    /// Different for each question of this connection.
    pub(crate) number: u64,
}

impl Call<'_> {
    /// Sends the question and waits for the answer; dropping the future cancels it at Polkit.
    pub(crate) async fn send(self) -> Result<Answer, Refusal> {
        let subject = ("system-bus-name", HashMap::from([("name", Variant::from(self.caller))]));
        let details: HashMap<&str, &str> = self.details.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let flags = if self.dialog { ALLOW_USER_INTERACTION } else { 0 };
        let cancellation = format!("lxhost-{}", self.number);
        let body = (subject, self.action.id(), details, flags, cancellation.as_str());

        let mut undo = Cancel { bus: Some(self.bus.clone()), cancellation: cancellation.clone() };
        let reply = self.bus.call_method(Some(NAME), PATH, Some(INTERFACE), "CheckAuthorization", &body).await;
        undo.bus = None;

        let reply = reply.map_err(refusal)?;
        let (yes, challenge, details): (bool, bool, HashMap<String, String>) =
            reply.body().deserialize().map_err(|e| Refusal::Error(format!("its answer is malformed: {e}")))?;
        Ok(match (yes, challenge) {
            (true, _) => Answer::Yes,
            _ if details.get("polkit.dismissed").is_some_and(|v| !v.is_empty()) => Answer::Dismissed,
            (false, true) => Answer::Challenge,
            (false, false) => Answer::No,
        })
    }
}

/// Whether the error says that Polkit is missing (the bus's words and, for a masked or absent unit,
/// systemd's), or is Polkit's own.
fn refusal(error: zbus::Error) -> Refusal {
    match &error {
        zbus::Error::FDO(fdo) if matches!(**fdo, zbus::fdo::Error::ServiceUnknown(_)) => Refusal::Absent,
        zbus::Error::MethodError(name, text, _) => {
            let name = name.as_str();
            if name.starts_with("org.freedesktop.DBus.Error.Spawn.") || name.starts_with("org.freedesktop.systemd1.") {
                return Refusal::Absent;
            }
            Refusal::Error(text.clone().unwrap_or_else(|| name.to_owned()))
        }
        _ => Refusal::Error(error.to_string()),
    }
}

/// Takes the question back unless it was answered, so that no dialog stays open for nobody.
struct Cancel {
    bus: Option<Connection>,
    cancellation: String,
}

impl Drop for Cancel {
    fn drop(&mut self) {
        let (Some(bus), Ok(runtime)) = (self.bus.take(), tokio::runtime::Handle::try_current()) else { return };
        let cancellation = std::mem::take(&mut self.cancellation);
        runtime.spawn(async move {
            let cancelled =
                bus.call_method(Some(NAME), PATH, Some(INTERFACE), "CancelCheckAuthorization", &(cancellation.as_str(),)).await;
            if let Err(error) = cancelled {
                tracing::debug!(%error, cancellation, "polkit did not take a question back");
            }
        });
    }
}
