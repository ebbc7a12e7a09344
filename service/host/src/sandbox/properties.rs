//! The unit's properties: everything is taken away, and what the spec names is given back. One list,
//! so that it can be read in one go. See systemd.exec(5); all are known to systemd 252. Pure.

use lxhost_engine::ports::{SERVED, SandboxSpec};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use zbus::wire::{Fd, Variant};

type Property<'a> = (&'static str, Variant<'a>);
/// Source, destination, whether it may be missing, mount flags.
type Bind = (String, String, bool, u64);

/// `CAP_CHOWN`, `CAP_DAC_OVERRIDE`, `CAP_FOWNER`, `CAP_FSETID`, `CAP_SETFCAP`.
const OWNS_FILES: u64 = 1 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 31;
/// `CAP_SYS_ADMIN`, which mounts need.
const SYS_ADMIN: u64 = 1 << 21;
/// What mmdebstrap needs beside these to set up a chroot and run maintainer scripts in it: `CAP_KILL`,
/// `CAP_SETGID`, `CAP_SETUID`, `CAP_SETPCAP`, `CAP_NET_BIND_SERVICE`, `CAP_NET_ADMIN`, `CAP_SYS_CHROOT`,
/// `CAP_SYS_ADMIN`, `CAP_MKNOD`, `CAP_AUDIT_WRITE`, `CAP_DAC_READ_SEARCH`.
const BUILDS: u64 =
    OWNS_FILES | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 12 | 1 << 18 | 1 << 21 | 1 << 27 | 1 << 29 | 1 << 2;
/// Most processes and threads.
const TASKS: u64 = 64;

/// Everything `StartTransientUnit` is told. `root` is an empty directory to hang mounts in.
pub(super) fn of<'a>(spec: &'a SandboxSpec, root: &'a Path, stderr: &'a OwnedFd) -> Vec<Property<'a>> {
    let mut list = lifetime(spec);
    list.extend(streams(spec, stderr));
    list.extend(always());
    if spec.builds {
        list.extend(for_builds(spec))
    } else {
        list.extend(for_hostile_input(spec, root))
    }
    list
}

fn lifetime(spec: &SandboxSpec) -> Vec<Property<'_>> {
    let program = spec.argv.first().map_or("", String::as_str);
    // Without the flag, systemd would put variables in place of "$x" in the arguments.
    let command = vec![(program.to_owned(), spec.argv.clone(), vec!["no-env-expand".to_owned()])];
    vec![
        ("Description", Variant::from(format!("lxhost sandbox: {program}"))),
        ("Type", Variant::from("oneshot")),
        ("ExecStartEx", Variant::from(command)),
        // A program that says no is no failure of the unit: the journal stays quiet.
        ("SuccessExitStatus", Variant::from(((1..128).collect::<Vec<i32>>(), Vec::<i32>::new()))),
        ("AddRef", Variant::from(true)),
        ("CollectMode", Variant::from("inactive-or-failed")),
        ("TimeoutStartUSec", Variant::from(u64::from(spec.timeout) * 1_000_000)),
        ("TimeoutStopUSec", Variant::from(2_000_000u64)),
        ("KillMode", Variant::from("control-group")),
        ("MemoryMax", Variant::from(spec.memory)),
        ("MemorySwapMax", Variant::from(0u64)),
        ("OOMPolicy", Variant::from("kill")),
    ]
}

fn streams<'a>(spec: &'a SandboxSpec, stderr: &'a OwnedFd) -> Vec<Property<'a>> {
    let fd = |fd: &'a OwnedFd| Variant::from(Fd::Borrowed(fd.as_fd()));
    let mut list = vec![("StandardErrorFileDescriptor", fd(stderr))];
    match &spec.stdin {
        Some(stdin) => list.push(("StandardInputFileDescriptor", fd(stdin))),
        None => list.push(("StandardInput", Variant::from("null"))),
    }
    match &spec.stdout {
        Some(stdout) => list.push(("StandardOutputFileDescriptor", fd(stdout))),
        None => list.push(("StandardOutput", Variant::from("journal"))),
    }
    list
}

/// What no sandboxed program needs.
fn always() -> Vec<Property<'static>> {
    vec![
        ("NoNewPrivileges", Variant::from(true)),
        ("ProtectHome", Variant::from("yes")),
        ("ProtectClock", Variant::from(true)),
        ("ProtectKernelModules", Variant::from(true)),
        ("ProtectKernelLogs", Variant::from(true)),
        ("RestrictRealtime", Variant::from(true)),
        ("LockPersonality", Variant::from(true)),
        ("KeyringMode", Variant::from("private")),
        ("PrivateIPC", Variant::from(true)),
        ("UMask", Variant::from(0o022u32)),
    ]
}

/// A program that reads what nobody has vouched for: it sees /usr and what it may write, has no
/// network, and only the system calls of an ordinary service.
fn for_hostile_input<'a>(spec: &'a SandboxSpec, root: &'a Path) -> Vec<Property<'a>> {
    let program = spec.argv.first().map_or("", String::as_str);
    let bind = |path: &str| -> Bind { (path.to_owned(), path.to_owned(), true, 0) };
    let mut readable: Vec<Bind> = ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache"].map(bind).into();
    // A build directory, when the program is not installed.
    if !program.starts_with("/usr/") {
        readable.push(bind(program));
    }
    readable.extend(spec.readable.iter().map(|path| bind_exactly(path)));
    let mut capabilities = if spec.owns_files { OWNS_FILES } else { 0 };
    let mut calls = vec!["@system-service".to_owned()];
    if spec.mounts {
        capabilities |= SYS_ADMIN;
        calls.push("@mount".to_owned());
    }
    let mut writable: Vec<Bind> = spec.writable.iter().map(|path| bind_exactly(path)).collect();
    writable.extend(spec.served.iter().map(|tree| (tree.to_string_lossy().into_owned(), SERVED.to_owned(), false, 0)));
    let mut list = vec![
        // A temporary file system cannot be put over "/" itself; mount points are made in here.
        ("RootDirectory", Variant::from(root.to_string_lossy().into_owned())),
        ("MountAPIVFS", Variant::from(true)),
        ("BindReadOnlyPaths", Variant::from(readable)),
        ("CapabilityBoundingSet", Variant::from(capabilities)),
        ("ProtectSystem", Variant::from("strict")),
        ("ProtectControlGroups", Variant::from(true)),
        ("ProtectKernelTunables", Variant::from(true)),
        ("ProtectHostname", Variant::from(true)),
        ("ProtectProc", Variant::from("invisible")),
        ("ProcSubset", Variant::from("pid")),
        ("PrivateNetwork", Variant::from(true)),
        ("PrivateDevices", Variant::from(true)),
        ("MemoryDenyWriteExecute", Variant::from(true)),
        ("RestrictNamespaces", Variant::from(0u64)),
        ("RestrictAddressFamilies", Variant::from((true, Vec::<String>::new()))),
        ("SystemCallFilter", Variant::from((true, calls))),
        ("SystemCallArchitectures", Variant::from(vec!["native".to_owned()])),
        ("TasksMax", Variant::from(TASKS)),
    ];
    if spec.served.is_some() {
        // A link in the tree leads to none of these, which are those below the new root.
        let hidden = ["-+/proc", "-+/sys"].map(str::to_owned).to_vec();
        list.push(("InaccessiblePaths", Variant::from(hidden)));
    }
    if !writable.is_empty() {
        list.push(("BindPaths", Variant::from(writable)));
    }
    list
}

fn bind_exactly(path: &Path) -> Bind {
    let path = path.to_string_lossy().into_owned();
    (path.clone(), path, false, 0)
}

/// A tool that builds a root from signed packages: it mounts, changes root and fetches.
fn for_builds(spec: &SandboxSpec) -> Vec<Property<'_>> {
    let writable: Vec<String> = spec.writable.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    vec![
        ("CapabilityBoundingSet", Variant::from(BUILDS)),
        ("ProtectSystem", Variant::from("strict")),
        ("PrivateTmp", Variant::from(true)),
        ("PrivateMounts", Variant::from(true)),
        ("ReadWritePaths", Variant::from(writable)),
        ("Environment", Variant::from(vec!["LC_ALL=C.UTF-8".to_owned(), "HOME=/tmp".to_owned()])),
        ("WorkingDirectory", Variant::from("/tmp")),
        (
            "SystemCallFilter",
            Variant::from((false, ["@clock", "@module", "@reboot", "@swap", "@raw-io"].map(str::to_owned).to_vec())),
        ),
        ("TasksMax", Variant::from(4096u64)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(builds: bool) -> SandboxSpec {
        SandboxSpec {
            unit: "lxhost-test".into(),
            argv: vec!["/usr/bin/true".into()],
            stdin: None,
            stdout: None,
            writable: vec!["/var/lib/lxhost/x".into()],
            readable: vec![],
            served: None,
            mounts: false,
            owns_files: false,
            builds,
            timeout: 5,
            memory: 1 << 20,
        }
    }

    #[test]
    fn a_reader_of_hostile_input_has_no_capability_no_network_and_no_tree_of_the_host() {
        let (_, end) = std::io::pipe().unwrap();
        let end = OwnedFd::from(end);
        let spec = spec(false);
        let list = of(&spec, Path::new("/run/x"), &end);
        let value = |name: &str| list.iter().find(|(known, _)| *known == name).map(|(_, value)| value.try_clone().unwrap());
        assert_eq!(value("CapabilityBoundingSet"), Some(Variant::from(0u64)));
        assert_eq!(value("PrivateNetwork"), Some(Variant::from(true)));
        assert_eq!(value("NoNewPrivileges"), Some(Variant::from(true)));
        assert!(value("RootDirectory").is_some() && value("ReadWritePaths").is_none());
        let mut names: Vec<_> = list.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), list.len(), "a property is set twice");
    }

    #[test]
    fn what_serves_a_tree_sees_nothing_else_that_it_may_write_and_no_processes() {
        let (_, end) = std::io::pipe().unwrap();
        let end = OwnedFd::from(end);
        let spec = SandboxSpec { served: Some("/pool/tree".into()), writable: vec![], ..spec(false) };
        let list = of(&spec, Path::new("/run/x"), &end);
        let value = |name: &str| list.iter().find(|(known, _)| *known == name).map(|(_, value)| value.try_clone().unwrap());
        let tree: Vec<Bind> = vec![("/pool/tree".into(), "/volume".into(), false, 0)];
        assert_eq!(value("BindPaths"), Some(Variant::from(tree)));
        let hidden: Vec<String> = ["-+/proc", "-+/sys"].map(str::to_owned).to_vec();
        assert_eq!(value("InaccessiblePaths"), Some(Variant::from(hidden)));
    }

    #[test]
    fn what_builds_is_never_given_the_reader_s_view() {
        let (_, end) = std::io::pipe().unwrap();
        let end = OwnedFd::from(end);
        let spec = spec(true);
        assert!(of(&spec, Path::new("/run/x"), &end).iter().all(|(name, _)| *name != "RootDirectory"));
    }
}
