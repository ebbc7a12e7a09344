//! What the sandboxed program says of an image, checked again: it may have been taken over by what it
//! read. Pure; called by the store.

use lxhost_engine::ports::SandboxExit;
use lxhost_model::config::{Config, MAX_KEYS, check_text};
use lxhost_model::{Error, Kind, Result, Timestamp};
use std::collections::BTreeMap;

/// Most bytes of an answer.
pub(crate) const CAP: usize = 2 << 20;

/// The metadata of an image.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Metadata {
    pub(crate) architecture: String,
    pub(crate) properties: Config,
    pub(crate) created: Timestamp,
}

#[derive(serde::Deserialize)]
struct Answer {
    architecture: String,
    created: u64,
    properties: BTreeMap<String, String>,
}

/// The error for an unsuccessful end; the program's last line says why.
pub(crate) fn check_exit(what: &str, exit: &SandboxExit) -> Result<()> {
    let why = exit.stderr.lines().last().unwrap_or("it said nothing");
    match exit.status {
        0 => Ok(()),
        2 => Err(Error::new(Kind::Untrusted, format!("{what}: {why}"))),
        3 => Err(Error::new(Kind::NoSpace, format!("{what}: {why}"))),
        status if status > 128 => {
            Err(Error::new(Kind::Untrusted, format!("{what}: reading it was stopped by signal {}", status - 128)))
        }
        _ => Err(Error::failed(format!("{what}: {why}"))),
    }
}

/// Reads the answer to `check`.
///
/// # Errors
/// `Untrusted` for an architecture nobody knows, or text that is not fit to be kept.
pub(crate) fn metadata(bytes: &[u8]) -> Result<Metadata> {
    let bad = |why: String| Error::new(Kind::Untrusted, format!("metadata.yaml: {why}"));
    let answer: Answer = serde_json::from_slice(bytes).map_err(|_| bad("it could not be read".into()))?;
    let architecture = architecture(&answer.architecture)
        .ok_or_else(|| bad(format!("architecture {} is not known", lxhost_model::name::quoted(&answer.architecture))))?;
    if answer.properties.len() > MAX_KEYS {
        return Err(bad("it has too many properties".into()));
    }
    for (key, value) in &answer.properties {
        check_text(key, key).and_then(|()| check_text(key, value)).map_err(|e| bad(e.message))?;
        if key.is_empty() || key.len() > 255 || key.contains('\n') {
            return Err(bad("a property has a malformed name".into()));
        }
    }
    Ok(Metadata {
        architecture: architecture.to_owned(),
        properties: answer.properties,
        created: answer.created.saturating_mul(1_000_000),
    })
}

/// A line of progress as a part of the whole; `None` when it is none.
pub(crate) fn fraction(line: &str) -> Option<f64> {
    line.parse::<f64>().ok().filter(|fraction| !fraction.is_nan()).map(|fraction| fraction.clamp(-1.0, 1.0))
}

/// The kernel's name of an architecture, from any of its names.
fn architecture(name: &str) -> Option<&'static str> {
    Some(match name {
        "x86_64" | "amd64" => "x86_64",
        "i686" | "i386" | "i586" | "x86" => "i686",
        "aarch64" | "arm64" => "aarch64",
        "armv7l" | "armhf" | "armv7" => "armv7l",
        "armv6l" | "armel" => "armv6l",
        "riscv64" => "riscv64",
        "ppc64le" | "ppc64el" => "ppc64le",
        "s390x" => "s390x",
        "loongarch64" => "loongarch64",
        "mips64" | "mips64el" => "mips64",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clean_answers_are_believed() {
        let good = metadata(br#"{"architecture":"amd64","created":1700000000,"properties":{"os":"debian"}}"#).unwrap();
        assert_eq!((good.architecture.as_str(), good.created), ("x86_64", 1_700_000_000_000_000));
        for bad in [
            &b""[..],
            b"{}",
            br#"{"architecture":"../x","created":0,"properties":{}}"#,
            br#"{"architecture":"x86_64","created":-1,"properties":{}}"#,
            br#"{"architecture":"x86_64","created":0,"properties":{"a":"\u001b[31m"}}"#,
            br#"{"architecture":"x86_64","created":0,"properties":{"a\nb":"x"}}"#,
        ] {
            assert_eq!(metadata(bad).unwrap_err().kind, Kind::Untrusted);
        }
    }

    #[test]
    fn the_exit_status_tells_whose_fault_it_was() {
        let end = |status| check_exit("image", &SandboxExit { status, stderr: "x\nentry \"a\": bad".into() });
        assert!(end(0).is_ok());
        for (status, kind) in [(2, Kind::Untrusted), (3, Kind::NoSpace), (1, Kind::Failed), (159, Kind::Untrusted)] {
            assert_eq!(end(status).unwrap_err().kind, kind);
        }
        assert_eq!(end(2).unwrap_err().message, "image: entry \"a\": bad");
    }
}
