//! File systems of pools, for the engine's port: transient mount units of PID 1 (systemd.mount(5)).

use std::path::Path;

use async_trait::async_trait;
use lxhost_engine::ports::{MountPlan, Mounts};
use lxhost_model::{Error, Result};
use zbus::wire::Variant;

use super::service::for_port;
use super::{Property, UnitError, Units};

#[async_trait]
impl Mounts for Units {
    async fn mount(&self, plan: &MountPlan) -> Result<()> {
        let unit = unit_of(&plan.at)?;
        let (Some(what), Some(at)) = (plan.what.to_str(), plan.at.to_str()) else {
            return Err(Error::failed(format!("{} cannot be mounted: its name is no text", plan.what.display())));
        };
        let description = format!("lxhost pool at {at}");
        // Stopped in reverse: what runs in the pool first, then the daemon, then this.
        let properties: [Property<'_>; 6] = [
            ("Description", Variant::from(description.as_str())),
            ("What", Variant::from(what)),
            ("Type", Variant::from(plan.kind)),
            ("Options", Variant::from(plan.options.as_str())),
            ("CollectMode", Variant::from("inactive-or-failed")),
            ("Before", Variant::from(vec!["lxhostd.service"])),
        ];
        match self.start_transient(&unit, &properties).await {
            // Somebody has unmounted it a moment ago, and PID 1 has not forgotten it yet.
            Err(UnitError::Exists { .. }) => lxhost_engine::ports::Units::start_service(self, &unit).await,
            started => started.map_err(|error| for_port(&error)),
        }
    }

    async fn unmount(&self, at: &Path) -> Result<()> {
        self.stop(&unit_of(at)?).await.map_err(|error| for_port(&error))
    }
}

/// Name of the mount unit of a path, as systemd-escape(1) has it.
fn unit_of(path: &Path) -> Result<String> {
    let text = path.to_str().filter(|text| text.starts_with('/') && text.len() > 1);
    let text = text.ok_or_else(|| Error::failed(format!("nothing can be mounted at {}", path.display())))?;
    let mut unit = String::new();
    for (at, byte) in text.trim_matches('/').bytes().enumerate() {
        match byte {
            b'/' => unit.push('-'),
            b'.' if at == 0 => unit.push_str("\\x2e"),
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b':' | b'_' | b'.' => unit.push(char::from(byte)),
            other => unit.push_str(&format!("\\x{other:02x}")),
        }
    }
    Ok(unit + ".mount")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_has_the_name_that_systemd_gives_it() {
        let name = |path: &str| unit_of(Path::new(path)).unwrap();
        assert_eq!(name("/var/lib/lxhost/pools/fast"), "var-lib-lxhost-pools-fast.mount");
        assert_eq!(name("/var/lib/lxhost/pools/a-b_c.d"), "var-lib-lxhost-pools-a\\x2db_c.d.mount");
        assert_eq!(name("/.x/ü"), "\\x2ex-\\xc3\\xbc.mount");
        assert!(unit_of(Path::new("/")).is_err());
        assert!(unit_of(Path::new("relative")).is_err());
    }
}
