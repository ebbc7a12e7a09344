//! Relays of proxies, for the engine's port: transient services of PID 1 around `lxhost-runtime proxy`. They end with
//! the scope of their instance, whatever has become of the daemon, and are started again when they die.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use async_trait::async_trait;
use lxhost_engine::ports::{self, RelaySpec, RelayStart};
use lxhost_model::{Error, Result};
use zbus::wire::{Fd, Variant};

use crate::units::{Property, UnitError, Units, scope_of};

/// To enter a container: `CAP_SETGID`, `CAP_SETUID`, `CAP_SYS_CHROOT`, `CAP_SYS_PTRACE`, `CAP_SYS_ADMIN`; to listen at a
/// low port: `CAP_NET_BIND_SERVICE`. All are given up before the first connection.
const ENTERS: u64 = 1 << 6 | 1 << 7 | 1 << 18 | 1 << 19 | 1 << 21 | 1 << 10;
/// To make a socket file: `CAP_DAC_OVERRIDE`, `CAP_FOWNER`.
const OWNS_FILES: u64 = 1 << 1 | 1 << 3;
/// `CLONE_NEWNS`, `CLONE_NEWUSER`, `CLONE_NEWNET`: what it enters.
const NAMESPACES: u64 = 0x0002_0000 | 0x1000_0000 | 0x4000_0000;
/// Descriptors: two for each connection, one for each port, and some.
const DESCRIPTORS: u64 = 16_384;
const MEMORY: u64 = 512 << 20;
const SECOND: u64 = 1_000_000;
/// Longest message that is read.
const LONGEST: usize = 4096;

/// Relays on this host.
pub struct SystemdRelays {
    units: Units,
    program: PathBuf,
}

impl SystemdRelays {
    /// Starts `program`, the monitor, through `units`.
    pub fn new(units: Units, program: PathBuf) -> Self {
        SystemdRelays { units, program }
    }
}

fn properties<'a>(program: &str, spec: &'a RelaySpec, answer: &'a OwnedFd) -> Vec<Property<'a>> {
    let argv: Vec<String> = [program, "proxy"].map(str::to_owned).into_iter().chain(spec.arguments.iter().cloned()).collect();
    let command = vec![(program.to_owned(), argv, vec!["no-env-expand".to_owned()])];
    let scope = || vec![scope_of(&spec.machine)];
    let mut list: Vec<Property<'a>> = vec![
        ("Description", Variant::from(spec.description.as_str())),
        ("Type", Variant::from("notify")),
        ("NotifyAccess", Variant::from("main")),
        ("ExecStartEx", Variant::from(command)),
        ("Restart", Variant::from("on-failure")),
        ("RestartUSec", Variant::from(SECOND)),
        ("StartLimitIntervalUSec", Variant::from(60 * SECOND)),
        ("StartLimitBurst", Variant::from(20u32)),
        ("TimeoutStartUSec", Variant::from(20 * SECOND)),
        ("TimeoutStopUSec", Variant::from(2 * SECOND)),
        ("BindsTo", Variant::from(scope())),
        ("After", Variant::from(scope())),
        ("CollectMode", Variant::from("inactive-or-failed")),
        ("StandardInputFileDescriptor", Variant::from(Fd::Borrowed(answer.as_fd()))),
        ("StandardOutput", Variant::from("null")),
        ("StandardError", Variant::from("journal")),
        ("SyslogIdentifier", Variant::from("lxhost-proxy")),
        ("LimitNOFILE", Variant::from(DESCRIPTORS)),
        ("LimitNOFILESoft", Variant::from(DESCRIPTORS)),
        ("MemoryMax", Variant::from(MEMORY)),
        ("TasksMax", Variant::from(4u64)),
        ("CapabilityBoundingSet", Variant::from(if spec.owns_files { ENTERS | OWNS_FILES } else { ENTERS })),
    ];
    list.extend(confined());
    if let Some(directory) = &spec.writable {
        list.push(("ReadWritePaths", Variant::from(vec![directory.to_string_lossy().into_owned()])));
    }
    list
}

/// What a relay does not need. Its system calls have to be enough to enter a container.
fn confined() -> Vec<Property<'static>> {
    vec![
        ("NoNewPrivileges", Variant::from(true)),
        ("ProtectSystem", Variant::from("strict")),
        ("ProtectClock", Variant::from(true)),
        ("ProtectKernelLogs", Variant::from(true)),
        ("ProtectKernelModules", Variant::from(true)),
        ("ProtectKernelTunables", Variant::from(true)),
        ("ProtectControlGroups", Variant::from(true)),
        ("ProtectHostname", Variant::from(true)),
        ("PrivateDevices", Variant::from(true)),
        ("PrivateIPC", Variant::from(true)),
        ("KeyringMode", Variant::from("private")),
        ("LockPersonality", Variant::from(true)),
        ("MemoryDenyWriteExecute", Variant::from(true)),
        ("RestrictRealtime", Variant::from(true)),
        ("RestrictSUIDSGID", Variant::from(true)),
        ("RestrictNamespaces", Variant::from(NAMESPACES)),
        ("RestrictAddressFamilies", Variant::from((true, ["AF_UNIX", "AF_INET", "AF_INET6"].map(str::to_owned).to_vec()))),
        ("SystemCallFilter", Variant::from((true, vec!["@system-service".to_owned(), "setns".to_owned()]))),
        ("SystemCallArchitectures", Variant::from(vec!["native".to_owned()])),
        ("UMask", Variant::from(0o077u32)),
    ]
}

/// What a relay has said before it ended: a number of the kernel, and what it was doing.
fn refusal(bytes: &[u8]) -> Option<RelayStart> {
    let (errno, step) = bytes.split_first_chunk::<4>()?;
    let step: String = String::from_utf8_lossy(step).chars().filter(|c| !c.is_control()).collect();
    Some(RelayStart::Refused { step, errno: i32::from_ne_bytes(*errno) })
}

#[async_trait]
impl ports::Relays for SystemdRelays {
    async fn start(&self, spec: &RelaySpec) -> Result<RelayStart> {
        let failed = |error: &dyn std::fmt::Display| Error::failed(format!("unit {}: {error}", spec.unit));
        let (mut ours, theirs) = UnixStream::pair().map_err(|e| Error::io("socket pair", &e))?;
        ours.set_nonblocking(true).map_err(|e| Error::io("socket pair", &e))?;
        let theirs = OwnedFd::from(theirs);
        let started = self.units.start_transient(&spec.unit, &properties(&self.program.to_string_lossy(), spec, &theirs)).await;
        match started {
            Ok(()) => Ok(RelayStart::Listens),
            Err(UnitError::Job { result, .. }) => {
                // Else it would be tried again.
                self.stop(&spec.unit).await?;
                let mut said = vec![0; LONGEST];
                let read = ours.read(&mut said).unwrap_or_default();
                let why = || failed(&format_args!("its start ended as \"{result}\"; journalctl -u {} says why", spec.unit));
                refusal(said.get(..read).unwrap_or_default()).ok_or_else(why)
            }
            Err(error) => Err(failed(&error)),
        }
    }

    async fn stop(&self, unit: &str) -> Result<()> {
        let failed = |error: UnitError| Error::failed(error.to_string());
        self.units.stop(unit).await.map_err(failed)?;
        self.units.forget(unit).await;
        Ok(())
    }

    async fn is_active(&self, unit: &str) -> Result<bool> {
        self.units.is_active(unit).await.map_err(|error| Error::failed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_says_what_it_was_doing_and_nothing_that_spoils_a_terminal() {
        let bytes = [&98i32.to_ne_bytes()[..], b"listen tcp:1.2.3.4:5\x1b\n"].concat();
        let said = RelayStart::Refused { step: "listen tcp:1.2.3.4:5".to_owned(), errno: 98 };
        assert_eq!((refusal(&bytes), refusal(b"abc")), (Some(said), None));
    }

    #[test]
    fn no_property_is_set_twice_and_rights_over_files_are_given_to_few() {
        let (answer, _) = UnixStream::pair().unwrap();
        let answer = OwnedFd::from(answer);
        let spec = RelaySpec {
            unit: "u".into(),
            description: "d".into(),
            machine: "c1".into(),
            arguments: vec![],
            writable: Some("/run/x".into()),
            owns_files: false,
        };
        let list = properties("/p", &spec, &answer);
        let bound = list.iter().find(|(name, _)| *name == "CapabilityBoundingSet").map(|(_, value)| value.try_clone().unwrap());
        assert_eq!(bound, Some(Variant::from(ENTERS)));
        let mut names: Vec<_> = list.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), list.len());
    }
}
