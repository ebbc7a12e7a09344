//! The "nothing changed" check around a negative test: what a host has before is compared with what it
//! has after: objects, files, mounts, links and routes, nft rules, units, processes and a canary
//! directory. Depends on `host`. Called by suites.

use anyhow::{Result, bail};

use crate::host::Host;

/// What a section of the picture is, and the shell text that prints it. Times and counters are left
/// out, and so are addresses of guests, which come when they come, and the store's own file: its
/// objects are compared instead.
const SECTIONS: &[(&str, &str)] = &[
    (
        "objects",
        "lxctl list -c nsatPbdlc --format csv; for name in $(lxctl list -q); do lxctl config show $name; done; lxctl profile show default; \
         for what in 'image list' 'network list' 'storage list' 'profile list'; do echo \"$what\"; lxctl $what --format json; echo; done",
    ),
    (
        "files",
        "find /var/lib/lxhost /run/lxhost /etc /root /home /usr/local /srv/canary -xdev \\( -name '*.db*' -o -name '*.log' \\) -prune \
         -o -printf '%p %y %#m %U:%G %s %l\\n' | sed -E 's,^(/[^ ]* d [^ ]* [^ ]*) [0-9]+ $,\\1,' | sort",
    ),
    ("mounts", "findmnt --list --noheadings --output TARGET,SOURCE,FSTYPE,OPTIONS | sort"),
    (
        "links",
        "ip -oneline link | sed -E 's/^[0-9]+: //' | sort; ip -oneline address | sed -E 's/^[0-9]+: //; s/valid_lft.*//; s/ tentative//; s/ dynamic//' | sort; ip route; ip -6 route; ip rule",
    ),
    ("rules", "nft --stateless list ruleset"),
    (
        "units",
        "systemctl list-units --all --plain --no-legend 'lxhost*' '*.scope' | awk '{print $1, $3}' | sort; systemctl list-unit-files --no-legend | sort; systemctl --failed --plain --no-legend",
    ),
    (
        "processes",
        "ps -e --no-headers -o user:32=,args= | grep -vE '^[^ ]+ +\\[|systemd|sd-pam|polkitd|apt|\\bps -e|grep -vE|sh -c|sort$|awk ' | sort",
    ),
    ("canary", "find /srv/canary -type f -exec sha256sum {} + | sort"),
];

/// What a host has at a moment.
#[derive(Debug)]
pub struct Picture {
    sections: Vec<(&'static str, String)>,
}

impl Picture {
    /// Looks at everything. The canary directory is made on the first look.
    ///
    /// # Errors
    /// When the host does not answer.
    pub fn take(host: &Host) -> Result<Self> {
        host.command([
            "sh",
            "-ec",
            "mkdir -p /srv/canary/inner; test -e /srv/canary/file || echo canary >/srv/canary/file; ln -sf file /srv/canary/link",
        ])
        .succeed()?;
        let sections = SECTIONS.iter().map(|(name, script)| Ok((*name, host.command(["sh", "-c", script]).succeed()?)));
        Ok(Self { sections: sections.collect::<Result<_>>()? })
    }

    /// Looks again and compares.
    ///
    /// # Errors
    /// When something is not as it was: the lines that went and came.
    pub fn same(&self, host: &Host) -> Result<()> {
        let after = Self::take(host)?;
        let mut changes = String::new();
        for ((name, before), (_, after)) in self.sections.iter().zip(&after.sections) {
            for line in missing(before, after) {
                changes += &format!("\n{name}: gone: {line}");
            }
            for line in missing(after, before) {
                changes += &format!("\n{name}: new: {line}");
            }
        }
        if changes.is_empty() { Ok(()) } else { bail!("something changed:{changes}") }
    }
}

/// Runs `act` and makes sure that it changed nothing in the host.
///
/// # Errors
/// What `act` says, or what changed.
pub fn nothing_changes<T>(host: &Host, act: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = Picture::take(host)?;
    let done = act()?;
    before.same(host)?;
    Ok(done)
}

/// The lines of `of` that `among` has not, or has fewer times.
fn missing<'a>(of: &'a str, among: &str) -> Vec<&'a str> {
    let mut left: Vec<&str> = among.lines().collect();
    of.lines()
        .filter(|line| match left.iter().position(|other| other == line) {
            Some(place) => {
                left.swap_remove(place);
                false
            }
            None => true,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::missing;

    #[test]
    fn a_line_counts_as_often_as_it_is_there() {
        assert_eq!(missing("a\nb\na", "a\nb"), ["a"]);
        assert_eq!(missing("a\nb", "b\na"), [""; 0]);
        assert_eq!(missing("", "a"), [""; 0]);
    }
}
