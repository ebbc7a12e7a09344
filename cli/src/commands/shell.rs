//! `shell`.

use crate::args::Shell;
use crate::attach::{self, Signals};
use crate::bus::Session;
use crate::failure::Failure;
use lxhost_dbus::Options;
use lxhost_dbus::proxy::GuestProxy;

/// Opens a login shell on the user's terminal; gives its exit status.
pub(crate) async fn run(session: &Session, args: &Shell) -> Result<u8, Failure> {
    let guest: GuestProxy<'static> = session.object(&session.instance(&args.name).await?).await?;
    let mut options = Options::new();
    if !args.environment.is_empty() {
        options.insert("environment", crate::pairs::config(&args.environment).into());
    }
    if let Some(cwd) = &args.cwd {
        options.insert("cwd", cwd.as_str().into());
    }
    super::exec::terminal_options(&mut options);
    let mut signals = Signals::new()?;
    let (exec, master, _) = signals.during(session.allowed(|| guest.open_shell(&args.user, &options))).await?;
    attach::on_terminal(session, &exec, master.into(), signals).await
}
