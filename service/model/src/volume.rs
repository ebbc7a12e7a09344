//! The record of a custom storage volume, and what its keys may say. Names are LXD's.
//!
//! Pure. How a pool keeps volumes is the business of `drivers/storage`.

use crate::config::{Config, Value, check_text, check_value, nearest, parse_bool};
use crate::device::Device;
use crate::name::{PoolName, ProjectName, VolumeName, quoted};
use crate::schedule::Schedule;
use crate::{Error, Kind, ObjectId, Timestamp};

/// What a volume holds; the only sort there is today.
pub const FILESYSTEM: &str = "filesystem";
/// Keys that say how the top directory of a new volume is made.
const INITIAL: &[&str] = &["initial.uid", "initial.gid", "initial.mode"];
/// Keys of LXD's that nothing here obeys yet, and why.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("security.unmapped", "volumes are always mapped to the ids of the instance that uses them"),
    ("security.shared", "it is for block volumes; a filesystem volume can always be shared"),
];
/// Keys about its snapshots, as instances have them.
const SNAPSHOTS: &[(&str, Value)] = &[
    ("snapshots.expiry", Value::Lifetime),
    ("snapshots.pattern", Value::SnapshotPattern),
    ("snapshots.schedule", Value::Schedule),
];
/// Mode of the top directory when nothing says otherwise.
const MODE: u32 = 0o711;
/// Ids that instances have.
const IDS: u32 = crate::IdRange::SIZE;

/// A volume as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Volume {
    /// Immutable identity.
    pub id: ObjectId,
    /// Project it belongs to.
    pub project: ProjectName,
    /// The pool it lies on.
    pub pool: PoolName,
    /// Name, unique among the volumes of the pool and the project.
    pub name: VolumeName,
    /// Free text.
    #[serde(default)]
    pub description: String,
    /// Its keys.
    pub config: Config,
    /// What the daemon keeps for itself.
    #[serde(default)]
    pub volatile: Config,
    /// When it was made.
    pub created: Timestamp,
    /// Grows with every change of the record.
    pub generation: u64,
}

/// Owner and mode of a volume's top directory, as instances see them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Top {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Mode.
    pub mode: u32,
}

impl Volume {
    /// What people call it: the pool and the name.
    pub fn title(&self) -> String {
        format!("{}/{}", self.pool, self.name)
    }

    /// Checks all keys.
    ///
    /// # Errors
    /// `InvalidConfig`, naming the key; `Unsupported` for a key of LXD's that has no effect here.
    pub fn check(&self) -> Result<(), Error> {
        check_text("description", &self.description)?;
        if self.config.len() > crate::config::MAX_KEYS {
            return Err(Error::new(Kind::InvalidConfig, "too many configuration keys"));
        }
        self.config.iter().try_for_each(|(key, value)| check_key(key, value))
    }

    /// Whether a change to these keys would have to be made when the volume is: the first such key.
    pub fn moved<'a>(&'a self, config: &'a Config) -> Option<&'a str> {
        INITIAL.iter().copied().find(|key| self.config.get(*key) != config.get(*key))
    }

    /// How its top directory is made.
    pub fn top(&self) -> Top {
        let id = |key: &str| self.config.get(key).and_then(|value| value.parse().ok()).unwrap_or(0);
        let mode = self.config.get("initial.mode").and_then(|value| octal(value)).unwrap_or(MODE);
        Top { uid: id("initial.uid"), gid: id("initial.gid"), mode }
    }

    /// Bytes that it may take; `None`: all that there is on its pool.
    ///
    /// # Errors
    /// `InvalidConfig`, for a record that nobody has checked.
    pub fn quota(&self) -> Result<Option<u64>, Error> {
        self.config.get("size").map_or(Ok(None), |text| crate::size::parse_quota(text))
    }

    /// Whether `device` is this volume.
    pub fn is_of(&self, device: &Device) -> bool {
        let (pool, source) = (Some(self.pool.as_str()), Some(self.name.as_str()));
        device.kind() == "disk" && !device.is_root() && device.get("pool") == pool && device.get("source") == source
    }
}

fn octal(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777 && !text.starts_with('+'))
}

/// Checks one key and its value.
///
/// # Errors
/// `InvalidConfig`, naming the key; `Unsupported` for a key of LXD's that has no effect here.
pub fn check_key(key: &str, value: &str) -> Result<(), Error> {
    let bad = |kind: Kind, why: &str| Error::new(kind, format!("configuration key {}: {why}", quoted(key)));
    check_text(key, value)?;
    if let Some(rest) = key.strip_prefix("user.") {
        let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let fine = !rest.is_empty() && rest.len() <= 255 && rest.bytes().all(fine);
        return if fine { Ok(()) } else { Err(bad(Kind::InvalidConfig, "malformed key")) };
    }
    match key {
        "initial.uid" | "initial.gid" => {
            check_value(Value::Number(u64::from(IDS) - 1), value).map_err(|why| bad(Kind::InvalidConfig, &why))
        }
        "initial.mode" => octal(value).map(drop).ok_or_else(|| bad(Kind::InvalidConfig, "expected rights such as 0755")),
        "size" => crate::size::parse_quota(value).map(drop),
        "security.shifted" => match parse_bool(value) {
            Some(true) => Ok(()),
            Some(false) => Err(bad(Kind::Unsupported, "every volume can be used by instances with different ids")),
            None => Err(bad(Kind::InvalidConfig, "expected true or false")),
        },
        "snapshots.schedule" if value.parse::<Schedule>().is_ok_and(|schedule| schedule.is_at_start()) => {
            Err(bad(Kind::InvalidConfig, "a volume is not started"))
        }
        _ => match (SNAPSHOTS.iter().find(|(name, _)| *name == key), UNSUPPORTED.iter().find(|(name, _)| *name == key)) {
            (Some((_, expected)), _) => check_value(*expected, value).map_err(|why| bad(Kind::InvalidConfig, &why)),
            (None, Some((_, why))) => Err(bad(Kind::Unsupported, why)),
            (None, None) => {
                let known =
                    INITIAL.iter().copied().chain(["security.shifted", "size"]).chain(SNAPSHOTS.iter().map(|(name, _)| *name));
                let near = nearest(key, known).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                Err(bad(Kind::InvalidConfig, &format!("unknown key{near}")))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(keys: &[(&str, &str)]) -> Volume {
        Volume {
            id: ObjectId::from_random([7; 16]),
            project: ProjectName::default(),
            pool: "default".parse().unwrap(),
            name: "data".parse().unwrap(),
            description: String::new(),
            config: keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            volatile: Config::new(),
            created: 0,
            generation: 0,
        }
    }

    #[test]
    fn the_top_directory_is_roots_unless_the_keys_say_otherwise() {
        assert_eq!(volume(&[]).top(), Top { uid: 0, gid: 0, mode: 0o711 });
        let own = volume(&[("initial.uid", "1000"), ("initial.gid", "100"), ("initial.mode", "2770")]);
        own.check().unwrap();
        assert_eq!(own.top(), Top { uid: 1000, gid: 100, mode: 0o2770 });
        assert_eq!(own.moved(&Config::new()), Some("initial.uid"));
        assert_eq!(own.moved(&own.config), None);
    }

    #[test]
    fn keys_without_an_effect_and_malformed_values_are_refused() {
        for (key, value, kind) in [
            ("size", "1KiB", Kind::InvalidConfig),
            ("size", "much", Kind::InvalidConfig),
            ("security.shifted", "false", Kind::Unsupported),
            ("security.shifted", "perhaps", Kind::InvalidConfig),
            ("initial.uid", "65536", Kind::InvalidConfig),
            ("initial.uid", "root", Kind::InvalidConfig),
            ("initial.mode", "0999", Kind::InvalidConfig),
            ("initial.mode", "17777", Kind::InvalidConfig),
            ("user.", "x", Kind::InvalidConfig),
            ("user.a", "\u{1b}[0m", Kind::InvalidConfig),
            ("snapshots.pattern", "../%d", Kind::InvalidConfig),
            ("snapshots.expiry", "soon", Kind::InvalidConfig),
            ("snapshots.schedule", "@someday", Kind::InvalidConfig),
            ("snapshots.schedule", "@startup", Kind::InvalidConfig),
            ("colour", "red", Kind::InvalidConfig),
        ] {
            assert_eq!(volume(&[(key, value)]).check().unwrap_err().kind, kind, "{key}={value}");
        }
        let near = volume(&[("initial.uuid", "1")]).check().unwrap_err();
        assert!(near.message.contains("did you mean initial.uid?"), "{near}");
        assert!(volume(&[("user.a", "b\nc"), ("security.shifted", "true")]).check().is_ok());
        assert!(
            volume(&[("snapshots.schedule", "@daily"), ("snapshots.expiry", "1w"), ("snapshots.pattern", "a%d")]).check().is_ok()
        );
        let sized = volume(&[("size", "1GiB")]);
        assert_eq!((sized.check(), sized.quota(), volume(&[]).quota()), (Ok(()), Ok(Some(1 << 30)), Ok(None)));
    }

    #[test]
    fn a_disk_device_with_its_pool_and_name_is_this_volume() {
        let name = "d".parse().unwrap();
        let device = |keys: &[(&str, &str)]| {
            let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            Device::new(&name, keys).unwrap()
        };
        let data = volume(&[]);
        assert!(data.is_of(&device(&[("type", "disk"), ("pool", "default"), ("source", "data"), ("path", "/srv")])));
        assert!(!data.is_of(&device(&[("type", "disk"), ("pool", "other"), ("source", "data"), ("path", "/srv")])));
        assert!(!data.is_of(&device(&[("type", "disk"), ("pool", "default"), ("path", "/")])));
    }
}
