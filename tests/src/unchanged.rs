//! The "nothing changed" check around a negative test: what a host has before is compared with what it
//! has after: records, the state's tree with owners, modes, hashes and attributes, mounts, links and
//! routes, nft rules, cgroups, units, devices, processes, the daemon with its descriptors, and a canary
//! directory. `unchanged.sh` looks, in the host. Depends on `host`. Called by suites.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::host::Host;

/// What prints the picture.
const LOOK: &str = include_str!("unchanged.sh");
/// How often it is looked again before a difference counts: what ends a call may end a moment later.
const LOOKS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(250);

/// What a host has at a moment: sections of lines.
#[derive(Debug, PartialEq, Eq)]
pub struct Picture {
    sections: Vec<(String, String)>,
}

impl Picture {
    /// Looks at everything. The canary directory is made on the first look.
    ///
    /// # Errors
    /// When the host does not answer.
    pub fn take(host: &Host) -> Result<Self> {
        let said = host.command(["sh", "-s"]).stdin(LOOK).succeed()?;
        let sections = said.split("@@ ").skip(1).filter_map(|section| section.split_once('\n'));
        Ok(Self { sections: sections.map(|(name, lines)| (name.to_owned(), lines.to_owned())).collect() })
    }

    /// Looks again and compares.
    ///
    /// # Errors
    /// When something is not as it was: the lines that went and came.
    pub fn same(&self, host: &Host) -> Result<()> {
        self.same_but(host, &[])
    }

    /// As `same`, but for lines that begin with one of these words, which this picture is without.
    ///
    /// # Errors
    /// When something is not as it was: the lines that went and came.
    pub fn same_but(&self, host: &Host, words: &[&str]) -> Result<()> {
        let look = || Ok::<_, anyhow::Error>(Self::take(host)?.without(words));
        let mut after = look()?;
        for _ in 1..LOOKS {
            if *self == after {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
            after = look()?;
        }
        let changes = self.changes(&after);
        if changes.is_empty() { Ok(()) } else { bail!("something changed:{changes}") }
    }

    /// The picture without lines that begin with one of these words.
    #[must_use]
    pub fn without(mut self, words: &[&str]) -> Self {
        for (_, lines) in &mut self.sections {
            let kept = lines.lines().filter(|line| !words.iter().any(|word| line.starts_with(word)));
            *lines = kept.flat_map(|line| [line, "\n"]).collect();
        }
        self
    }

    /// The lines that went and came, as far as they can be read.
    fn changes(&self, after: &Self) -> String {
        let mut changes = String::new();
        for ((name, before), (_, after)) in self.sections.iter().zip(&after.sections) {
            for line in missing(before, after) {
                changes += &format!("\n{name}: gone: {line}");
            }
            for line in missing(after, before) {
                changes += &format!("\n{name}: new: {line}");
            }
        }
        changes
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
