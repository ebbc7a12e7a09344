//! What is written is read again, what Incus writes is read, what is hostile is refused.

use super::*;

/// The index of an instance.
fn parse(text: &[u8]) -> Result<Backup> {
    match super::parse(text)? {
        About::Backup(backup) => Ok(backup),
        other => panic!("{other:?}"),
    }
}

fn words(pairs: &[(&str, &str)]) -> Words {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn backup() -> Backup {
    let instance = Described {
        description: "a: \"b\"\n#c".into(),
        architecture: "x86_64".into(),
        ephemeral: false,
        profiles: vec!["default".into(), "null".into()],
        config: words(&[("user.a", "yes"), ("limits.cpu", "2"), ("volatile.eth0.hwaddr", "02:00:00:00:00:01")]),
        devices: [("root".to_owned(), words(&[("type", "disk"), ("path", "/"), ("pool", "default")]))].into(),
        created: 1_700_000_000_000_000,
        ..Described::default()
    };
    let past = Past { name: "snap0".into(), expires: 1_800_000_000_000_000, instance: instance.clone() };
    let kept = Past { name: "1.0".into(), expires: 0, instance: Described { profiles: vec![], ..instance.clone() } };
    Backup { name: "c1".into(), pool: "default".into(), instance, snapshots: vec![past, kept] }
}

#[test]
fn what_is_written_is_read_again() {
    let (index, config) = render(&backup()).unwrap();
    assert_eq!(parse(index.as_bytes()).unwrap(), backup());
    assert!(config.starts_with("container:"), "{config}");
}

#[test]
fn what_incus_writes_is_read() {
    let text = b"name: web\nbackend: dir\npool: default\nsnapshots:\n- snap0\noptimized: false\noptimized_header: false\n\
        type: container\nconfig:\n  container:\n    architecture: x86_64\n    config:\n      image.os: Debian\n      limits.cpu: \"2\"\n\
        \x20     volatile.idmap.base: \"0\"\n    devices: {}\n    ephemeral: false\n    profiles:\n    - default\n    stateful: false\n\
        \x20   description: \"\"\n    created_at: 2026-11-23T08:00:00.123456789Z\n    expanded_config: {}\n    name: web\n    status: Stopped\n\
        \x20   status_code: 102\n    last_used_at: 0001-01-01T00:00:00Z\n    location: none\n    type: container\n    project: default\n\
        \x20 snapshots:\n  - architecture: x86_64\n    config: {}\n    created_at: 2026-11-23T09:00:00+01:00\n    devices: {}\n\
        \x20   ephemeral: false\n    expires_at: 0001-01-01T00:00:00Z\n    profiles: []\n    name: snap0\n    size: -1\n  pool:\n    name: x\n";
    let read = parse(text).unwrap();
    assert_eq!((read.name.as_str(), read.instance.config["limits.cpu"].as_str()), ("web", "2"));
    assert_eq!(read.instance.created, 1_795_420_800_123_456);
    assert_eq!((read.snapshots[0].name.as_str(), read.snapshots[0].expires), ("snap0", 0));
    assert_eq!(read.snapshots[0].instance.created, 1_795_420_800_000_000);
}

#[test]
fn what_is_no_container_s_index_is_refused() {
    let deep = format!("name: a\nconfig: {}x{}", "[".repeat(10_000), "]".repeat(10_000));
    for (text, why) in [
        ("", ""),
        ("name: c1", "no config"),
        ("name: c1\nconfig: {}", "no instance"),
        ("name: c1\ntype: virtual-machine\nconfig: {container: {}}", "not supported"),
        ("name: c1\noptimized: true\nconfig: {container: {}}", "--optimized-storage"),
        ("name: c1\nconfig: {container: {created_at: soon}}", "time"),
        ("name: c1\nconfig: {container: {config: [1]}}", ""),
        ("name: [c1]\nconfig: {container: {}}", ""),
        (deep.as_str(), ""),
    ] {
        let error = parse(text.as_bytes()).unwrap_err();
        assert!(matches!(error, Error::Metadata(_)) && error.to_string().contains(why), "{text}: {error}");
        assert!(!error.to_string().contains('\n'));
    }
}

#[test]
fn an_index_is_looked_for_in_a_backup_only() {
    let archive = |names: &[&str]| {
        let mut builder = tar::Builder::new(Vec::new());
        for name in names {
            let mut header = tar::Header::new_gnu();
            header.set_size(0);
            builder.append_data(&mut header, name, std::io::empty()).unwrap();
        }
        builder.into_inner().unwrap()
    };
    for names in [&["backup/container/x"][..], &["metadata.yaml", INDEX], &[]] {
        let error = find(archive(names).as_slice(), Limits::default()).unwrap_err();
        assert!(matches!(error, Error::Archive(_)), "{error}");
    }
    assert!(matches!(find(archive(&[INDEX]).as_slice(), Limits::default()).unwrap_err(), Error::Metadata(_)));
}
