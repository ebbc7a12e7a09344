//! Names, keys, values and sizes that anybody may send over D-Bus, and YAML that people pass on to each other.

use lxhost_model::config::{Config, check_instance, nearest};
use lxhost_model::device::Device;
use lxhost_model::lifetime::Lifetime;
use lxhost_model::name::{DeviceName, ImageAlias, InstanceName, NetworkName, PoolName, ProfileName, ProjectName, quoted};
use lxhost_model::schedule::Schedule;
use lxhost_model::size::parse_bytes;
use lxhost_model::{Fingerprint, Kind, ObjectId, Status};

/// Every kind of name: refused in a line, or safe as a file, a unit and an argument.
pub fn names(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    assert!(quoted(&text).len() < 1024);
    macro_rules! each { ($($type:ty),*) => { $( match text.parse::<$type>() {
        Err(error) => { assert_eq!(error.kind, Kind::InvalidName); crate::is_a_line(&error.message) }
        Ok(name) => {
            let name = name.as_str();
            assert!(name == text && name.len() <= 255 && !name.starts_with(['-', '.', '/']), "{name:?}");
            assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b)) && !name.contains("/."), "{name:?}");
        }
    } )* } }
    each!(InstanceName, NetworkName, PoolName, ProfileName, ProjectName, DeviceName, ImageAlias);
    assert!(text.parse::<ObjectId>().is_err() || text.len() == 32);
    assert!(text.parse::<Fingerprint>().is_err() || text.len() == 64);
    assert!(text.parse::<Status>().is_err() || text.len() < 32);
    assert!(nearest(&text, ["launch", "list"]).is_none_or(|word| word == "launch" || word == "list"));
}

/// Keys and values of an instance and of a device, between NULs.
pub fn config(data: &[u8]) {
    let parts: Vec<String> = crate::parts(data).take(16).collect();
    for pair in parts.chunks(2) {
        let (key, value) = (pair[0].as_str(), pair.get(1).map_or("", String::as_str));
        match check_instance(key, value) {
            Ok(()) => {
                assert!(!key.chars().any(char::is_control) && !value.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
                assert!(key.starts_with("user.") || !value.contains('\n'), "{key:?}={value:?}");
            }
            Err(error) => crate::is_a_line(&error.message),
        }
        if let Err(error) = parse_bytes(value) {
            crate::is_a_line(&error.message);
        }
    }
    let name: DeviceName = "d0".parse().unwrap();
    let keys: Config = parts.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    match Device::new(&name, keys.clone()) {
        Ok(device) => assert_eq!(device.keys(), &keys),
        Err(error) => crate::is_a_line(&error.message),
    }
}

/// A schedule and a lifetime: refused in a line, or with times that are within what was asked.
pub fn schedule(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match text.parse::<Schedule>() {
        Err(error) => crate::is_a_line(&error.message),
        Ok(schedule) => {
            assert!(!text.chars().any(char::is_control));
            let now = 29_900_000;
            for after in [now - 1, now - 100_000, i64::MIN] {
                assert!(schedule.latest(after, now).is_none_or(|minute| after < minute && minute <= now), "{text:?}");
            }
        }
    }
    match text.parse::<Lifetime>() {
        Err(error) => crate::is_a_line(&error.message),
        Ok(lifetime) => {
            let now = 1_800_000_000_000_000;
            assert!(lifetime.end(now) > now && lifetime.end(0) > 0, "{text:?}");
        }
    }
}

/// Bodies of calls, as a bus may pass them on unread: refused in a line, or taken.
pub fn call(data: &[u8]) {
    if let Err(line) = lxhostd::hostile::call(data) {
        crate::is_a_line(&line);
    }
}

/// A definition: refused in a line, or the same when it is written and read again.
pub fn definition(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        same(lxctl::hostile::definition(text));
    }
}

/// A preseed: the same.
pub fn preseed(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        same(lxctl::hostile::preseed(text));
    }
}

#[track_caller]
fn same(read: Result<bool, String>) {
    match read {
        Ok(same) => assert!(same, "what is written is not read back"),
        Err(line) => assert!(!line.is_empty() && !line.contains('\n') && line.len() < 2000, "{line:?}"),
    }
}
