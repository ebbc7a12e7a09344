//! Power of a full host: its emulator stays, and keeps the disk; a durable host's is killed by a crash, as a
//! machine without power is. Depends on `emulator`. Called through `Host`.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::json;

use super::Full;
use super::saved::BOOT_LIMIT;
use crate::host::machine::Machine;
use crate::host::running::Process;

/// How long an orderly shutdown may take: guests are stopped first.
const STOP_LIMIT: Duration = Duration::from_secs(240);

impl Machine for Full {
    fn start(&self, argv: &[String]) -> Result<Process> {
        self.switched_on()?;
        self.emulator()?.port.start(argv)
    }

    fn reboot(&self) -> Result<()> {
        self.switched_on()?;
        let emulator = self.emulator()?;
        let mark = emulator.qmp.mark();
        // The answer may be lost with the host.
        let _ = emulator.say("systemctl reboot", Duration::from_secs(30));
        emulator.qmp.wait(mark, "RESET", STOP_LIMIT)?;
        self.up_again()
    }

    fn power_off(&self) -> Result<()> {
        self.switched_on()?;
        let emulator = self.emulator()?;
        let mark = emulator.qmp.mark();
        // The answer may be lost with the host.
        let _ = emulator.say("systemctl poweroff", Duration::from_secs(30));
        emulator.qmp.wait(mark, "SHUTDOWN", STOP_LIMIT)?;
        self.on.store(false, Ordering::SeqCst);
        emulator.port.disconnect();
        Ok(())
    }

    fn crash(&self) -> Result<()> {
        self.switched_on()?;
        let emulator = self.emulator()?;
        self.on.store(false, Ordering::SeqCst);
        if self.spec.durable {
            *self.emulator.lock().unwrap_or_else(PoisonError::into_inner) = None;
            emulator.kill();
        } else {
            emulator.qmp.execute("stop", &json!({}))?;
            emulator.port.disconnect();
            emulator.qmp.give_up();
        }
        Ok(())
    }

    fn hang(&self) -> Result<()> {
        self.switched_on()?;
        self.emulator()?.qmp.execute("stop", &json!({})).map(drop)
    }

    fn power_on(&self) -> Result<()> {
        if self.on.load(Ordering::SeqCst) {
            bail!("the host is on");
        }
        let Ok(emulator) = self.emulator() else {
            self.start(false)?;
            self.up_again()?;
            return self.join();
        };
        let mark = emulator.qmp.mark();
        emulator.qmp.execute("system_reset", &json!({}))?;
        emulator.qmp.wait(mark, "RESET", Duration::from_secs(30))?;
        emulator.qmp.execute("cont", &json!({}))?;
        self.up_again()
    }

    fn share(&self) -> PathBuf {
        self.directory.join("lab")
    }

    fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Full {
    fn switched_on(&self) -> Result<()> {
        if self.on.load(Ordering::SeqCst) { Ok(()) } else { bail!("the host is off") }
    }

    fn up_again(&self) -> Result<()> {
        self.emulator()?.wait_until_up(BOOT_LIMIT)?;
        self.on.store(true, Ordering::SeqCst);
        self.settle()
    }
}
