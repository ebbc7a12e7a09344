//! Which mirror of Debian the host uses: its own apt sources, in both formats (sources.list(5)). What
//! is found is checked strictly, since it is put on a command line. Called by the source.

use super::release::Release;
use std::fs;
use std::path::Path;

/// Mirror of Debian when the host has none, because it runs something else.
const MIRROR: &str = "http://deb.debian.org/debian";
/// The same for security fixes.
const SECURITY: &str = "http://deb.debian.org/debian-security";
/// Keys of Debian's archives, in the package debian-archive-keyring, on the host and in the guest.
pub(super) const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Most bytes of one file of sources.
const CAP: u64 = 1 << 20;

/// Where packages come from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mirrors {
    /// The main archive.
    pub(super) main: String,
    /// Security fixes.
    pub(super) security: String,
    /// File with the keys that the host trusts for these; `None`: those of apt itself.
    keyring: Option<String>,
}

/// One line or stanza.
#[derive(Debug, Default, PartialEq, Eq)]
struct Source {
    uris: Vec<String>,
    suites: Vec<String>,
    components: Vec<String>,
    keyring: Option<String>,
}

impl Mirrors {
    /// Reads the sources below `etc` (`/etc/apt`).
    pub(super) fn of_host(etc: &Path) -> Mirrors {
        let mut files = vec![etc.join("sources.list")];
        let mut parts: Vec<_> =
            fs::read_dir(etc.join("sources.list.d")).into_iter().flatten().flatten().map(|e| e.path()).collect();
        parts.sort();
        files.extend(parts);
        let mut sources = Vec::new();
        for path in files {
            let small = fs::metadata(&path).is_ok_and(|m| m.is_file() && m.len() <= CAP);
            let Some(text) = small.then(|| fs::read_to_string(&path).ok()).flatten() else { continue };
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("list") => sources.extend(text.lines().filter_map(line)),
                Some("sources") => sources.extend(text.split("\n\n").filter_map(stanza)),
                _ => {}
            }
        }
        Mirrors::choose(&sources, Path::new(KEYRING).exists())
    }

    fn choose(sources: &[Source], has_keyring: bool) -> Mirrors {
        let main = |source: &&Source| source.components.iter().any(|component| component == "main");
        let of = |wanted: fn(&str) -> bool| {
            let found = sources.iter().filter(main).find(|source| source.suites.iter().any(|suite| wanted(suite)))?;
            Some((found.uris.iter().find(|uri| is_plain(uri))?.trim_end_matches('/').to_owned(), found.keyring.clone()))
        };
        let known = |suite: &str| Release::find(suite).is_ok();
        let security = |suite: &str| suite.strip_suffix("-security").is_some_and(|suite| Release::find(suite).is_ok());
        let default = |uri: &str| (uri.to_owned(), None);
        let (main, keyring) = of(known).unwrap_or_else(|| default(MIRROR));
        let (security, _) = of(security).unwrap_or_else(|| default(SECURITY));
        Mirrors { main, security, keyring: keyring.or(has_keyring.then(|| KEYRING.to_owned())) }
    }

    /// Sources of a release for mmdebstrap, one line each.
    pub(super) fn lines(&self, release: &Release) -> Vec<String> {
        let signed = self.keyring.as_ref().map(|path| format!("[signed-by={path}] ")).unwrap_or_default();
        let line = |(uri, suite): (&str, String)| format!("deb {signed}{uri} {suite} main");
        self.suites(release).into_iter().map(line).collect()
    }

    /// Archive and suite of everything that makes up a release.
    fn suites(&self, release: &Release) -> Vec<(&str, String)> {
        let mut suites = vec![(self.main.as_str(), release.codename.to_owned())];
        if release.updates {
            suites.push((&self.main, format!("{}-updates", release.codename)));
            suites.push((&self.security, format!("{}-security", release.codename)));
        }
        suites
    }

    /// The guest's `debian.sources`.
    pub(super) fn stanzas(&self, release: &Release) -> String {
        let stanza = |(uri, suite): (&str, String)| {
            format!("Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: main\nSigned-By: {KEYRING}\n")
        };
        self.suites(release).into_iter().map(stanza).collect::<Vec<_>>().join("\n")
    }
}

/// `deb [options] URI suite component…`.
fn line(text: &str) -> Option<Source> {
    let text = text.split('#').next()?.trim().strip_prefix("deb")?;
    let mut rest = text.strip_prefix([' ', '\t'])?.trim_start();
    let mut keyring = None;
    if let Some(options) = rest.strip_prefix('[') {
        let (options, after) = options.split_once(']')?;
        keyring = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by=")).and_then(key_file);
        rest = after;
    }
    let mut words = rest.split_whitespace().map(str::to_owned);
    let (uri, suite) = (words.next()?, words.next()?);
    Some(Source { uris: vec![uri], suites: vec![suite], components: words.collect(), keyring })
}

/// A deb822 stanza.
fn stanza(text: &str) -> Option<Source> {
    let mut source = Source::default();
    let mut is_deb = false;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((key, value)) = line.split_once(':') else { continue };
        let words = || value.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        match key.to_ascii_lowercase().as_str() {
            "types" => is_deb = words().iter().any(|kind| kind == "deb"),
            "uris" => source.uris = words(),
            "suites" => source.suites = words(),
            "components" => source.components = words(),
            "signed-by" => source.keyring = key_file(value.trim()),
            "enabled" if value.trim().eq_ignore_ascii_case("no") => return None,
            _ => {}
        }
    }
    is_deb.then_some(source)
}

/// A path of a keyring; a fingerprint or an inline key is none.
fn key_file(value: &str) -> Option<String> {
    let plain = value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'.'));
    (value.starts_with('/') && plain && Path::new(value).exists()).then(|| value.to_owned())
}

/// An address that is safe on a command line and in a file of sources.
fn is_plain(uri: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/-_.:~%@[]".contains(&b);
    ["http://", "https://", "file:/", "copy:/"].iter().any(|scheme| uri.starts_with(scheme))
        && uri.len() < 512
        && uri.bytes().all(allowed)
}

/// The host's proxies for apt, as environment variables. mmdebstrap does not read the host's settings.
pub(super) async fn proxies() -> Vec<String> {
    let mut variables = Vec::new();
    for (key, variable) in [("Acquire::http::Proxy", "http_proxy"), ("Acquire::https::Proxy", "https_proxy")] {
        let mut command = tokio::process::Command::new("apt-config");
        command.args(["dump", "--format", "%v%n", key]).kill_on_drop(true);
        let Ok(output) = command.output().await else { continue };
        if let Some(uri) = String::from_utf8_lossy(&output.stdout).lines().next().filter(|uri| is_plain(uri)) {
            variables.push(format!("{variable}={uri}"));
        }
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[(&str, &str)]) -> Mirrors {
        let etc = tempfile::tempdir().unwrap();
        fs::create_dir(etc.path().join("sources.list.d")).unwrap();
        for (name, text) in files {
            fs::write(etc.path().join(name), text).unwrap();
        }
        Mirrors { keyring: None, ..Mirrors::of_host(etc.path()) }
    }

    #[test]
    fn both_formats_are_read_and_foreign_archives_passed_over() {
        let text = "# deb http://no/debian trixie main\ndeb [arch=amd64] https://x.example/apt trixie stable\n\
            deb [ signed-by=/no/such ] http://ftp.example.org/debian/ bookworm main contrib\n\
            deb http://sec.example.org/debian-security bookworm-security main\n";
        let list = of(&[("sources.list", text)]);
        assert_eq!(
            (list.main.as_str(), list.security.as_str()),
            ("http://ftp.example.org/debian", "http://sec.example.org/debian-security")
        );
        let text = "Types: deb deb-src\nURIs: http://a.example/debian\nSuites: trixie trixie-updates\nComponents: main\n\n\
            Types: deb\nURIs: http://b.example/sec\nSuites: trixie-security\nComponents: main\n";
        let deb822 = of(&[("sources.list.d/debian.sources", text), ("sources.list.d/x.save", "deb http://c/debian trixie main")]);
        assert_eq!((deb822.main.as_str(), deb822.security.as_str()), ("http://a.example/debian", "http://b.example/sec"));
    }

    #[test]
    fn another_distribution_s_host_gets_debian_s_own_mirror() {
        let ubuntu = of(&[("sources.list", "deb http://archive.ubuntu.com/ubuntu noble main\n")]);
        assert_eq!((ubuntu.main.as_str(), ubuntu.security.as_str()), (MIRROR, SECURITY));
        let odd = of(&[("sources.list", "deb http://x/$(id)/debian trixie main\n")]);
        assert_eq!(odd.main, MIRROR);
    }

    #[test]
    fn a_release_gets_its_suites() {
        let mirrors = Mirrors { main: "http://m/debian".into(), security: "http://s".into(), keyring: Some("/k.gpg".into()) };
        let lines = mirrors.lines(Release::find("13").unwrap());
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0], "deb [signed-by=/k.gpg] http://m/debian trixie main");
        assert_eq!(lines[2], "deb [signed-by=/k.gpg] http://s trixie-security main");
        assert_eq!(mirrors.lines(Release::find("sid").unwrap()).len(), 1);
        assert!(mirrors.stanzas(Release::find("12").unwrap()).contains("Suites: bookworm-security\n"));
    }
}
