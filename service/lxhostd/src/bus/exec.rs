//! `org.lxhost1.Exec`: a command under way, and for a while after its end.

use super::Bus;
use super::error::Failure;
use super::job::value;
use lxhost_engine::ports::ExecResult;
use lxhost_engine::{Result, exec::ExecView};
use std::collections::HashMap;
use zbus::message::Header;
use zbus::wire::{OwnedObjectPath, OwnedVariant};

pub(super) struct Exec {
    pub(super) bus: Bus,
    pub(super) session: u32,
}

impl Exec {
    fn view(&self) -> Result<ExecView> {
        self.bus.engine.exec_view(self.session)
    }
}

/// Properties that change with a command's end.
pub(super) fn ended(view: &ExecView) -> Result<HashMap<&'static str, OwnedVariant>> {
    Ok(HashMap::from([("State", value(state(view))?), ("Result", value(words(view.result))?)]))
}

fn state(view: &ExecView) -> &'static str {
    if view.result.is_none() { "running" } else { "ended" }
}

/// How a command ended, for the wire.
fn words(result: Option<ExecResult>) -> (String, i32) {
    let (word, code) = match result {
        None => ("running", 0),
        Some(ExecResult::Exited(code)) => ("exited", code),
        Some(ExecResult::Signaled(signal, false)) => ("killed", signal),
        Some(ExecResult::Signaled(signal, true)) => ("dumped", signal),
        Some(ExecResult::Lost) => ("lost", 0),
    };
    (word.to_owned(), code)
}

#[zbus::interface(name = "org.lxhost1.Exec")]
impl Exec {
    #[zbus(out_args("result", "code"))]
    async fn wait(&self, #[zbus(header)] header: Header<'_>, timeout_usec: u64) -> Result<(String, i32), Failure> {
        let _call = self.bus.caller(&header).await?;
        Ok(words(self.bus.engine.exec_wait(self.session, super::job::timeout(timeout_usec)).await?))
    }

    async fn signal(&self, #[zbus(header)] header: Header<'_>, signal: i32) -> Result<(), Failure> {
        if !(1..=64).contains(&signal) {
            return Err(super::invalid(format!("{signal} is no signal")).into());
        }
        let caller = self.bus.caller(&header).await?;
        Ok(self.bus.engine.exec_signal(&caller, self.session, signal).await?)
    }

    async fn resize(&self, #[zbus(header)] header: Header<'_>, rows: u16, cols: u16) -> Result<(), Failure> {
        let caller = self.bus.caller(&header).await?;
        Ok(self.bus.engine.exec_resize(&caller, self.session, rows, cols).await?)
    }

    async fn close(&self, #[zbus(header)] header: Header<'_>) -> Result<(), Failure> {
        let caller = self.bus.caller(&header).await?;
        Ok(self.bus.engine.exec_close(&caller, self.session).await?)
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn instance(&self) -> Result<OwnedObjectPath, Failure> {
        Ok(super::rows::object(lxhost_dbus::path::instance(self.view()?.instance))?)
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn interactive(&self) -> Result<bool, Failure> {
        Ok(self.view()?.interactive)
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn pid(&self) -> Result<u32, Failure> {
        Ok(self.view()?.pid)
    }

    #[zbus(property)]
    fn state(&self) -> Result<String, Failure> {
        Ok(state(&self.view()?).to_owned())
    }

    #[zbus(property)]
    fn result(&self) -> Result<(String, i32), Failure> {
        Ok(words(self.view()?.result))
    }
}
