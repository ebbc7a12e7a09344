//! An instance or a profile as YAML, in LXD's words: read from standard input or an editor, and shown.

use crate::failure::Failure;
use crate::pairs::read_text;
use lxhost_dbus::{Config, Devices};
use serde::{Deserialize, Serialize};

/// What a user may write about an instance or profile. Keys of LXD that only describe are read and forgotten.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Definition {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) architecture: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    #[serde(deserialize_with = "scalars")]
    pub(crate) config: Config,
    #[serde(deserialize_with = "nested_scalars")]
    pub(crate) devices: Devices,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ephemeral: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) profiles: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Vec::is_empty", skip_deserializing)]
    pub(crate) used_by: Vec<String>,
}

/// Keys that have a meaning.
const OURS: [&str; 8] = ["name", "architecture", "description", "config", "devices", "ephemeral", "profiles", "used_by"];
/// Keys of LXD's documents that only describe.
const FORGOTTEN: [&str; 18] = [
    "created_at",
    "driver",
    "locations",
    "managed",
    "source",
    "subnets",
    "last_used_at",
    "status",
    "status_code",
    "stateful",
    "location",
    "type",
    "project",
    "expanded_config",
    "expanded_devices",
    "backups",
    "snapshots",
    "state",
];

/// Values of keys as they are written: YAML would read `yes` and `1.10` as something else.
type Scalars = std::collections::BTreeMap<String, Option<String>>;

fn plain(map: Scalars) -> Config {
    map.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect()
}

/// A map whose values may be written as any scalar.
pub(crate) fn scalars<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Config, D::Error> {
    Ok(plain(Option::<Scalars>::deserialize(input)?.unwrap_or_default()))
}

fn nested_scalars<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Devices, D::Error> {
    type Nested = std::collections::BTreeMap<String, Scalars>;
    let nested = Option::<Nested>::deserialize(input)?.unwrap_or_default();
    Ok(nested.into_iter().map(|(name, keys)| (name, plain(keys))).collect())
}

/// Whether standard input is a redirected file.
pub(crate) fn is_redirected(stdin: &std::io::Stdin) -> Result<bool, Failure> {
    let stat = rustix::fs::fstat(stdin).map_err(|e| Failure::io("look at standard input", &e.into()))?;
    Ok(rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file())
}

impl Definition {
    /// Reads YAML. What only describes does not matter; wrong types do, and keys that nobody knows: a misspelt
    /// `config` would take all of it away.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        if text.trim().is_empty() {
            return Ok(Definition::default());
        }
        let bad = |e: serde_saphyr::Error| Failure::usage(format!("not a definition in YAML: {}", first_line(&e.to_string())));
        let definition = serde_saphyr::from_str(text).map_err(bad)?;
        let keys: std::collections::BTreeMap<String, serde::de::IgnoredAny> = serde_saphyr::from_str(text).map_err(bad)?;
        match keys.keys().find(|key| !OURS.contains(&key.as_str()) && !FORGOTTEN.contains(&key.as_str())) {
            Some(key) => Err(unknown(key)),
            None => Ok(definition),
        }
    }

    /// The definition on standard input when that is a redirected file (`< c1.yaml`). Pipes and
    /// terminals are not read: a script's own input is not ours.
    pub(crate) fn from_redirected_stdin() -> Result<Option<Self>, Failure> {
        let stdin = std::io::stdin();
        if !is_redirected(&stdin)? {
            return Ok(None);
        }
        let text = read_text(&mut stdin.lock())?;
        Ok(if text.trim().is_empty() { None } else { Some(Definition::parse(&text)?) })
    }
}

fn unknown(key: &str) -> Failure {
    let failure = Failure::usage(format!("the definition has an unknown key {}", lxhost_model::name::quoted(key)));
    match lxhost_model::config::nearest(key, OURS) {
        Some(near) => failure.hint(format!("did you mean {near}?")),
        None => failure,
    }
}

/// What a YAML error says first; the excerpt that follows it is not for one line.
pub(crate) fn first_line(text: &str) -> &str {
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_of_lxd_is_read_as_it_is() {
        let text = "config:\n  limits.cpu: 2\n  limits.memory: 2GB\n  boot.autostart: true\ndescription: Web\ndevices:\n  eth0:\n    name: eth0\n    network: lxdbr0\n    type: nic\nname: web-server\nused_by:\n- /1.0/instances/a\n";
        let definition = Definition::parse(text).unwrap();
        assert_eq!(definition.config["limits.cpu"], "2");
        assert_eq!(definition.config["boot.autostart"], "true");
        assert_eq!(definition.devices["eth0"]["network"], "lxdbr0");
        assert_eq!(definition.description.as_deref(), Some("Web"));
        assert_eq!(definition.profiles, None);
    }

    #[test]
    fn values_are_what_is_written() {
        let text = "config:\n  user.a: 1.10\n  user.b: yes\n  user.c: 0755\n  user.d: ~\n  user.e: 1e3\n  user.f: 2024-01-01\n";
        let values: Vec<_> = Definition::parse(text).unwrap().config.into_values().collect();
        assert_eq!(values, ["1.10", "yes", "0755", "", "1e3", "2024-01-01"]);
    }

    #[test]
    fn empty_maps_and_nothing_at_all_are_allowed() {
        assert_eq!(Definition::parse("").unwrap(), Definition::default());
        assert_eq!(Definition::parse("config: {}\ndevices:\n").unwrap(), Definition::default());
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut definition = Definition { profiles: Some(vec!["default".into()]), ..Definition::default() };
        for (key, value) in [("user.a", "true"), ("user.b", "1.0"), ("user.c", "x: y\n- z\n"), ("user.d", ""), ("user.e", "~")] {
            definition.config.insert(key.into(), value.into());
        }
        let text = crate::render::yaml(&definition).unwrap();
        assert_eq!(Definition::parse(&text).unwrap(), definition, "{text}");
    }

    #[test]
    fn a_misspelt_key_is_refused_with_the_right_one() {
        let failure = Definition::parse("confg:\n  user.a: 1\n").unwrap_err();
        assert!(failure.message.contains("confg") && failure.hint.unwrap().contains("config"));
        assert_eq!(Definition::parse("status: Running\nlocation: none\n").unwrap(), Definition::default());
    }

    #[test]
    fn a_bomb_and_nonsense_are_refused() {
        let bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\nconfig: *f\n";
        for bad in [bomb, "config: [1, 2]", "- a", "config: {a: {b: c}}", "\u{0}"] {
            assert_eq!(Definition::parse(bad).unwrap_err().code, 2);
        }
    }
}
