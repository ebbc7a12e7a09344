//! The record of a custom storage volume, and what its keys may say. Names are LXD's.
//!
//! Pure. How a pool keeps volumes is the business of `drivers/storage`.

use crate::config::{Config, Value, check_text, check_value, nearest, parse_bool};
use crate::device::Device;
use crate::name::{PoolName, ProjectName, VolumeName, quoted};
use crate::schedule::Schedule;
use crate::{Error, Kind, ObjectId, Timestamp};

/// What the file is called in which a block volume is.
pub const IMAGE: &str = "volume.img";
/// What a block volume has when nothing says otherwise.
const BLOCK_SIZE: &str = "10GiB";
/// Sizes of block volumes are whole numbers of these, as LXD's are: whatever a machine has for sectors fits.
const SECTOR: u64 = 8192;
/// The largest file there can be.
const LARGEST: u64 = i64::MAX as u64;
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

/// What a volume holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// Files.
    #[default]
    Filesystem,
    /// A disk of a virtual machine.
    Block,
}

impl Content {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Content::Filesystem => "filesystem",
            Content::Block => "block",
        }
    }
}

impl std::str::FromStr for Content {
    type Err = Error;

    /// # Errors
    /// `Unsupported` for what LXD has beside these (`iso`) and for what nobody has.
    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "" | "filesystem" => Ok(Content::Filesystem),
            "block" => Ok(Content::Block),
            _ => {
                let what =
                    format!("volumes of type {} are not supported by this version; there are filesystem and block", quoted(text));
                Err(Error::new(Kind::Unsupported, what))
            }
        }
    }
}

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
    /// What it holds.
    #[serde(default)]
    pub content: Content,
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
        self.config.iter().try_for_each(|(key, value)| check_key(key, value))?;
        if self.content == Content::Block {
            if let Some(key) = INITIAL.iter().find(|key| self.config.contains_key(**key)) {
                let what = format!("configuration key {key}: a block volume has no directory");
                return Err(Error::new(Kind::InvalidConfig, what));
            }
            self.block()?;
        }
        Ok(())
    }

    /// The same volume with the size that a block volume has when nothing says otherwise.
    #[must_use]
    pub fn sized(mut self) -> Self {
        if self.content == Content::Block && self.config.get("size").is_none_or(String::is_empty) {
            self.config.insert("size".to_owned(), BLOCK_SIZE.to_owned());
        }
        self
    }

    /// Bytes that a block volume has; `None` of one with files.
    ///
    /// # Errors
    /// `InvalidConfig`: no size, one that is no multiple of 8 KiB, or more than a file can have.
    pub fn block(&self) -> Result<Option<u64>, Error> {
        if self.content != Content::Block {
            return Ok(None);
        }
        let text = self.config.get("size").map_or("", String::as_str);
        let bad = |why: String| Error::new(Kind::InvalidConfig, format!("size {}: {why}", quoted(text)));
        match crate::size::parse_quota(text)? {
            None => Err(bad("a block volume has one".to_owned())),
            Some(bytes) if bytes % SECTOR != 0 => {
                let next = bytes.saturating_add(SECTOR - bytes % SECTOR);
                Err(bad(format!("a block volume has a multiple of 8KiB, such as {next}")))
            }
            Some(bytes) if bytes > LARGEST => Err(bad("no file is that large".to_owned())),
            Some(bytes) => Ok(Some(bytes)),
        }
    }

    /// Refuses what is done to files.
    ///
    /// # Errors
    /// `Unsupported` of a block volume.
    pub fn has_files(&self) -> Result<(), Error> {
        match self.content {
            Content::Filesystem => Ok(()),
            Content::Block => {
                let what =
                    format!("volume {} is a block volume: it has no files, but what a virtual machine writes", self.title());
                Err(Error::new(Kind::Unsupported, what))
            }
        }
    }

    /// Whether a change to these keys would have to be made when the volume is: the first such key.
    pub fn moved<'a>(&'a self, config: &'a Config) -> Option<&'a str> {
        INITIAL.iter().copied().find(|key| self.config.get(*key) != config.get(*key))
    }

    /// How its top directory is made.
    pub fn top(&self) -> Top {
        let id = |key: &str| self.config.get(key).and_then(|value| value.parse().ok()).unwrap_or(0);
        let mode = self.config.get("initial.mode").and_then(|value| octal(value)).unwrap_or(MODE);
        // Nobody else has to find what a block volume is.
        let mode = if self.content == Content::Block { 0o700 } else { mode };
        Top { uid: id("initial.uid"), gid: id("initial.gid"), mode }
    }

    /// Bytes that its files may take; `None`: all that there is on its pool, or what a block volume has.
    ///
    /// # Errors
    /// `InvalidConfig`, for a record that nobody has checked.
    pub fn quota(&self) -> Result<Option<u64>, Error> {
        match self.content {
            Content::Block => Ok(None),
            Content::Filesystem => self.config.get("size").map_or(Ok(None), |text| crate::size::parse_quota(text)),
        }
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
            content: Content::Filesystem,
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
    fn a_block_volume_has_a_size_that_a_disk_can_have() {
        let block = |keys: &[(&str, &str)]| Volume { content: Content::Block, ..volume(keys) };
        assert_eq!(block(&[]).sized().block(), Ok(Some(10 << 30)));
        assert_eq!(block(&[("size", "")]).sized().config["size"], "10GiB");
        let one = block(&[("size", "1MiB")]);
        assert_eq!((one.check(), one.block(), one.quota(), one.top().mode), (Ok(()), Ok(Some(1 << 20)), Ok(None), 0o700));
        for size in ["", "0", "512", "1048577", "10GB", "9EiB", "18446744073709543424", "18446744073709551616", "-1", "much"] {
            let refused = block(&[("size", size)]).check().unwrap_err();
            assert_eq!(refused.kind, Kind::InvalidConfig, "{size}");
        }
        let refused = block(&[("size", "10GB")]).check().unwrap_err();
        assert!(refused.message.contains("10000007168"), "{refused}");
        assert_eq!(block(&[("size", "1GiB"), ("initial.uid", "1")]).check().unwrap_err().kind, Kind::InvalidConfig);
        assert_eq!(one.has_files().unwrap_err().kind, Kind::Unsupported);
        assert_eq!(volume(&[("size", "10GB")]).sized().block(), Ok(None));
        assert_eq!("iso".parse::<Content>().unwrap_err().kind, Kind::Unsupported);
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
