//! Texts that nobody sane would send, by the thousand: what is accepted keeps its promises, what is refused is
//! told in one short line, and nothing panics.

// Clippy sees tests in functions with #[test] only, not in what they share.
#![allow(clippy::unwrap_used)]

use lxhost_model::config::{Config, MAX_VALUE, check_instance, nearest, parse_bool};
use lxhost_model::device::Device;
use lxhost_model::name::{DeviceName, ImageAlias, InstanceName, NetworkName, PoolName, ProfileName, ProjectName, quoted};
use lxhost_model::size::{format_bytes, parse_bytes};
use lxhost_model::{Error, Fingerprint, IdRange, Kind, ObjectId, Status, Trigger};

/// Pieces that texts are made of: what means something to a shell, a path, a unit, a terminal, SQL or YAML.
const PIECES: &[&str] = &[
    "",
    "a",
    "Z",
    "0",
    "9",
    "-",
    "_",
    ".",
    "..",
    "/",
    "\\",
    " ",
    "\t",
    "\n",
    "\r",
    "\0",
    "\u{7f}",
    "\u{1b}[31m",
    "\u{202e}",
    "é",
    "ß",
    "💥",
    "'",
    "\"",
    "`",
    "$(id)",
    "${x}",
    ";",
    "&",
    "|",
    "<",
    ">",
    "*",
    "?",
    "%",
    "%n",
    "@",
    ":",
    ",",
    "=",
    "#",
    "!",
    "--",
    "{}",
    "[]",
    "limits.",
    "memory",
    "user.",
    "environment.",
    "GiB",
    "MB",
    "%",
    "100",
    "18446744073709551615",
    "1e9",
    "true",
    "null",
    "~",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

/// Texts in a fixed order: the same ones on every run.
struct Texts(u64);

impl Texts {
    fn number(&mut self, below: usize) -> usize {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }

    fn text(&mut self) -> String {
        let pieces = self.number(6);
        (0..=pieces).map(|_| PIECES[self.number(PIECES.len())]).collect()
    }
}

fn texts(count: usize) -> impl Iterator<Item = String> {
    let mut texts = Texts(0x9e37_79b9_7f4a_7c15);
    (0..count).map(move |_| texts.text())
}

/// An error line that can be shown anywhere.
#[track_caller]
fn is_a_line(error: &Error, about: &str) {
    assert!(error.message.len() < 600, "{about:?}: {} bytes", error.message.len());
    assert!(!error.message.chars().any(char::is_control), "{about:?}: {:?}", error.message);
}

#[test]
fn an_accepted_name_is_safe_as_a_file_a_unit_and_an_argument() {
    for text in texts(20_000) {
        let plain = |name: &str| {
            assert_eq!(name, text);
            assert!((1..=63).contains(&name.len()) && !name.starts_with(['-', '.']), "{name:?}");
            assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)), "{name:?}");
        };
        match text.parse::<InstanceName>() {
            Ok(name) => {
                plain(name.as_str());
                assert!(name.as_str().starts_with(|c: char| c.is_ascii_alphabetic()) && !name.as_str().ends_with('-'), "{name}");
                assert!(!name.as_str().contains(['_', '.']), "{name}");
            }
            Err(error) => is_a_line(&error, &text),
        }
        macro_rules! each { ($($type:ty),*) => { $( match text.parse::<$type>() {
            Ok(name) => plain(name.as_str()),
            Err(error) => { assert_eq!(error.kind, Kind::InvalidName); is_a_line(&error, &text) }
        } )* } }
        each!(NetworkName, PoolName, ProfileName, ProjectName, DeviceName);
        match text.parse::<ImageAlias>() {
            Ok(alias) => {
                assert!(alias.as_str().split('/').all(|part| !part.is_empty() && !part.starts_with(['.', '-'])), "{alias}")
            }
            Err(error) => is_a_line(&error, &text),
        }
    }
}

#[test]
fn every_length_has_its_limit() {
    for length in [0, 1, 62, 63, 64, 255, 256, 300, 4096, 1 << 20] {
        let text = "x".repeat(length);
        assert_eq!(text.parse::<InstanceName>().is_ok(), (1..=63).contains(&length), "{length}");
        assert_eq!(text.parse::<PoolName>().is_ok(), (1..=63).contains(&length), "{length}");
        // Each part of an alias is a name; all of it may be longer.
        assert_eq!(text.parse::<ImageAlias>().is_ok(), (1..=63).contains(&length), "{length}");
        assert_eq!(check_instance("user.x", &text).is_ok(), length <= MAX_VALUE, "{length}");
        if let Err(error) = check_instance(&text, "1") {
            is_a_line(&error, "a long key");
        }
        assert!(quoted(&text).len() < 300);
    }
    assert!(["x"; 200].join("/").parse::<ImageAlias>().is_err(), "399 bytes");
}

#[test]
fn an_accepted_value_holds_no_control_characters() {
    for pair in texts(40_000).collect::<Vec<_>>().chunks_exact(2) {
        let (key, value) = (&pair[0], &pair[1]);
        for key in
            [key.as_str(), "user.note", "environment.A", "limits.memory", "limits.processes", "boot.autostart", "linux.init"]
        {
            match check_instance(key, value) {
                Ok(()) => {
                    assert!(!value.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{key:?}={value:?}");
                    assert!(key.starts_with("user.") || !value.contains('\n'), "{key:?}={value:?}");
                    assert!(!key.chars().any(char::is_control), "{key:?}");
                }
                Err(error) => {
                    assert_eq!(error.kind, Kind::InvalidConfig);
                    is_a_line(&error, key);
                }
            }
        }
    }
}

#[test]
fn a_device_is_refused_as_a_whole_or_is_what_it_says() {
    let name: DeviceName = "d0".parse().unwrap();
    let all: Vec<String> = texts(30_000).collect();
    for (i, pair) in all.chunks_exact(2).enumerate() {
        let kind = ["disk", "nic", "none", "proxy", pair[0].as_str()][i % 5];
        let key = ["path", "source", "network", "listen", pair[0].as_str()][i / 5 % 5];
        let keys: Config = [("type".to_owned(), kind.to_owned()), (key.to_owned(), pair[1].clone())].into();
        match Device::new(&name, keys.clone()) {
            Ok(device) => assert_eq!(device.keys(), &keys),
            Err(error) => is_a_line(&error, key),
        }
    }
}

#[test]
fn a_size_is_exact_or_refused() {
    for text in texts(20_000) {
        if let Err(error) = parse_bytes(&text) {
            assert_eq!(error.kind, Kind::InvalidConfig);
            is_a_line(&error, &text);
        }
    }
    for (unit, factor) in [("", 1u64), ("B", 1), ("kB", 1000), ("KiB", 1024), ("GB", 1_000_000_000), ("EiB", 1 << 60)] {
        for number in [0, 1, 7, 15, 16, u64::MAX / factor, u64::MAX] {
            assert_eq!(parse_bytes(&format!("{number}{unit}")).ok(), number.checked_mul(factor), "{number}{unit}");
        }
    }
    for bits in 0..64 {
        assert!(format_bytes(1 << bits).len() < 12);
    }
}

#[test]
fn ids_and_fingerprints_read_only_what_they_write() {
    for text in texts(20_000) {
        assert!(text.parse::<ObjectId>().is_err() || text.len() == 32);
        assert!(text.parse::<Fingerprint>().is_err() || text.len() == 64);
        assert!(text.parse::<Status>().map(|status| status.as_str() == text).unwrap_or(true));
    }
    for (i, byte) in (0..=255u8).enumerate() {
        let mut bytes = [byte; 16];
        bytes[i % 16] = !byte;
        let id = ObjectId::from_random(bytes);
        assert_eq!(id.to_string().parse::<ObjectId>(), Ok(id));
    }
}

#[test]
fn a_hint_is_near_whatever_was_typed() {
    let words = ["launch", "list", "limits.memory", "debian:13"];
    for text in texts(20_000).chain(["x".repeat(1 << 20), "é".repeat(100_000)]) {
        assert!(nearest(&text, words).is_none_or(|word| words.contains(&word)));
        assert!(parse_bool(&text).is_none() || text.len() <= 5);
    }
}

#[test]
fn blocks_of_ids_overlap_in_both_directions_or_not_at_all() {
    let edges = [0, 1, 65_535, 65_536, 524_288, u32::MAX - 65_536, u32::MAX];
    for (a, b) in edges.iter().flat_map(|a| edges.iter().map(move |b| (*a, *b))) {
        let (a, b) = (IdRange { base: a, size: 65_536 }, IdRange { base: b, size: 65_536 });
        assert_eq!(a.overlaps(&b), b.overlaps(&a));
        assert_eq!(a.overlaps(&b), a.base.abs_diff(b.base) < 65_536, "{a:?} {b:?}");
    }
}

#[test]
fn no_trigger_leads_out_of_a_deletion() {
    for trigger in Trigger::ALL {
        assert!(Status::Deleting.next(*trigger).is_none_or(|status| status == Status::Deleting), "{trigger}");
    }
}
