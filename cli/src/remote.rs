//! `-H`: the same command line on another host, by ssh. Descriptors do not travel over a bridged bus, so it is
//! the other host's lxctl that runs: exec, shell and files behave there as they do here. Called by `main`.

use crate::failure::Failure;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Where to: user, host and port as `ssh` takes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    host: String,
    port: Option<u16>,
}

impl std::str::FromStr for Target {
    type Err = String;

    /// `[USER@]HOST[:PORT]`, as `systemctl -H` has it.
    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = match text.rsplit_once(':') {
            // More than one colon: an IPv6 address.
            Some((host, port)) if !host.contains(':') => (host, Some(port.parse().map_err(|_| format!("{port:?} is no port"))?)),
            _ => (text, None),
        };
        let odd = |c: char| c.is_whitespace() || c.is_control();
        if host.is_empty() || host.starts_with(['-', '@']) || host.ends_with('@') || host.contains(odd) {
            return Err("expected [USER@]HOST[:PORT]".to_owned());
        }
        Ok(Target { host: host.to_owned(), port })
    }
}

/// Becomes ssh with the command line of this process. Returns only when that fails.
pub(crate) fn run(target: &Target) -> Failure {
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let words: Result<Vec<String>, OsString> = std::env::args_os().skip(1).map(OsString::into_string).collect();
    let Ok(words) = words else {
        return Failure::usage("with -H the command line has to be UTF-8");
    };
    let source = Command::new("ssh").args(arguments(target, terminal, &words)).exec();
    Failure::io("start ssh", &source).hint("-H needs ssh (openssh-client)")
}

/// What ssh is told. The far shell gets one line of quoted words.
fn arguments(target: &Target, terminal: bool, words: &[String]) -> Vec<String> {
    let mut arguments = vec!["-x".to_owned(), if terminal { "-t" } else { "-T" }.to_owned()];
    if let Some(port) = target.port {
        arguments.extend(["-p".to_owned(), port.to_string()]);
    }
    let line: Vec<String> =
        ["lxctl".to_owned(), "--far-end".to_owned()].into_iter().chain(words.iter().map(|word| quoted(word))).collect();
    arguments.extend(["--".to_owned(), target.host.clone(), line.join(" ")]);
    arguments
}

/// One word for a shell, whatever is in it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_read_as_systemctl_reads_it() {
        let target = |host: &str, port| Ok(Target { host: host.to_owned(), port });
        assert_eq!("root@far".parse(), target("root@far", None));
        assert_eq!("far:2222".parse(), target("far", Some(2222)));
        assert_eq!("fd00::1".parse(), target("fd00::1", None));
        for bad in ["", "-oProxyCommand=id", "a b", "far:x", "@far", "far\n"] {
            assert!(bad.parse::<Target>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn every_word_arrives_as_it_is() {
        let words = ["exec", "c1", "--", "sh", "-c", "echo '$HOME'; id", "", "*"].map(str::to_owned);
        let target = Target { host: "far".to_owned(), port: Some(22) };
        let arguments = arguments(&target, false, &words);
        assert_eq!(arguments[..6], ["-x", "-T", "-p", "22", "--", "far"]);
        let line = format!("lxctl() {{ shift; printf '%s\\n' \"$@\"; }}; {}", arguments[6]);
        let output = Command::new("sh").args(["-c", &line]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap().split('\n').collect::<Vec<_>>()[..8], words);
    }
}
