//! What the keys of a disk mean, and which of them are refused.

use super::*;

/// A disk with the keys of a volume, and these instead of them; `-` takes one away.
fn read(pairs: &[(&str, &str)]) -> Result<Option<Disk>, Error> {
    let usual = [("type", "disk"), ("pool", "default"), ("source", "data"), ("path", "/srv/data")];
    let keys = usual.iter().chain(pairs).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let keys: BTreeMap<String, String> = keys.collect();
    Disk::read(&keys.into_iter().filter(|(_, value)| value != "-").collect())
}

fn of_host(pairs: &[(&str, &str)]) -> Result<HostPath, Error> {
    match read(&[&[("pool", "-"), ("source", "/home/mia")], pairs].concat())?.map(|disk| disk.source) {
        Some(DiskSource::Host(host)) => Ok(host),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_volume_is_mounted_where_the_keys_say() {
    let disk = read(&[("readonly", "true")]).unwrap().unwrap();
    assert!(matches!(&disk.source, DiskSource::Volume { volume, .. } if volume.as_str() == "data"));
    assert_eq!((disk.path.as_str(), disk.read_only), ("/srv/data", true));
    assert!(read(&[("path", "/"), ("source", "-")]).unwrap().is_none(), "the root is read by others");
}

#[test]
fn the_root_may_have_a_size() {
    let root = |size: &str| read(&[("path", "/"), ("source", ""), ("pool", ""), ("size", size)]);
    assert_eq!((root("1GiB"), root("")), (Ok(None), Ok(None)));
    for size in ["a lot", "0", "1023KiB", "-1", "20EiB"] {
        assert_eq!(root(size).unwrap_err().kind, Kind::InvalidConfig, "{size}");
    }
    let of = |pairs: &[(&str, &str)]| {
        let keys = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let name: crate::name::DeviceName = "d".parse().unwrap();
        crate::device::root_quota(&[(name.clone(), crate::device::Device::new(&name, keys).unwrap())].into())
    };
    assert_eq!(of(&[("type", "disk"), ("path", "/"), ("size", "1GiB")]), Ok(Some(1 << 30)));
    assert_eq!(of(&[("type", "disk"), ("path", "/")]), Ok(None));
    assert_eq!(of(&[("type", "disk"), ("path", "/tmp"), ("source", "tmpfs:"), ("size", "1GiB")]), Ok(None));
}

#[test]
fn a_path_of_the_host_is_private_whole_and_needed_unless_the_keys_say_otherwise() {
    let usual = of_host(&[]).unwrap();
    assert_eq!((usual.path.as_str(), usual.recursive, usual.required, usual.follows), ("/home/mia", false, true, false));
    let all = [("recursive", "true"), ("required", "false"), ("propagation", "rslave"), ("shift", "true")];
    let other = of_host(&all).unwrap();
    assert!(other.recursive && !other.required && other.follows && other.mapped && usual.mapped);
    assert!(!of_host(&[("shift", "false")]).unwrap().mapped);
    assert_eq!(of_host(&[("source", "/")]).unwrap().path, "/");
    assert_eq!(of_host(&[("source", "//home/mia//")]).unwrap().path, "/home/mia");
}

#[test]
fn memory_has_a_size_or_the_kernels() {
    let memory =
        |pairs: &[(&str, &str)]| read(&[&[("pool", "-"), ("source", "tmpfs:")], pairs].concat()).unwrap().unwrap().source;
    assert_eq!(memory(&[("size", "64MiB")]), DiskSource::Memory { size: Some(64 << 20) });
    assert_eq!(memory(&[]), DiskSource::Memory { size: None });
}

#[test]
fn what_would_have_no_effect_is_refused_by_its_name() {
    for (key, value) in [("limits.read", "20MB"), ("raw.mount.options", "noatime"), ("initial.uid", "7"), ("io.bus", "nvme")] {
        let error = read(&[(key, value)]).unwrap_err();
        assert!(error.kind == Kind::Unsupported && error.message.contains(key), "{error}");
    }
    for (key, value) in
        [("propagation", "rshared"), ("propagation", "unbindable"), ("source", "ceph:pool/x"), ("source", "tmpfs-overlay:")]
    {
        assert_eq!(of_host(&[(key, value)]).unwrap_err().kind, Kind::Unsupported, "{key}={value}");
    }
    for (key, value) in [("recursive", "true"), ("propagation", "slave"), ("required", "false"), ("shift", "true")] {
        assert_eq!(read(&[(key, value)]).unwrap_err().kind, Kind::InvalidConfig, "{key} of a volume");
        assert_eq!(read(&[("path", "/"), ("source", "-"), (key, value)]).unwrap_err().kind, Kind::InvalidConfig);
    }
    assert_eq!(read(&[("path", "/"), ("source", "-"), ("readonly", "true")]).unwrap_err().kind, Kind::InvalidConfig);
    assert_eq!(read(&[("speed", "1")]).unwrap_err().kind, Kind::InvalidConfig);
}

#[test]
fn places_that_are_no_mans_or_the_kernels_are_refused() {
    for path in ["srv", "", "//", "/srv/../etc", "/proc/x", "/sys", "/dev/shm", "/run/host/x", "/a\nb", "-"] {
        assert_eq!(read(&[("path", path)]).unwrap_err().kind, Kind::InvalidConfig, "{path}");
    }
    for path in ["home/mia", "/home/../etc", "/a\nb", "-", "tmpfs"] {
        assert_eq!(of_host(&[("source", path)]).unwrap_err().kind, Kind::InvalidConfig, "{path}");
    }
    for (key, value) in [("readonly", "perhaps"), ("size", "1GiB")] {
        assert_eq!(read(&[(key, value)]).unwrap_err().kind, Kind::InvalidConfig, "{key}={value}");
    }
    for (key, value) in [("recursive", "2"), ("shift", "x"), ("propagation", "public"), ("required", "x"), ("size", "1GiB")] {
        assert_eq!(of_host(&[(key, value)]).unwrap_err().kind, Kind::InvalidConfig, "{key}={value}");
    }
    assert_eq!(read(&[("source", "../x")]).unwrap_err().kind, Kind::InvalidName);
}
