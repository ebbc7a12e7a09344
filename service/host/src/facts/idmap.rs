//! User and group ids that others use: subuid(5), subgid(5), passwd(5), group(5).

use super::source::Source;
use lxhost_model::{IdRange, Result};

/// Most bytes of one file; a directory service dumped into passwd(5) fits.
const CAP: u64 = 32 << 20;

/// Ids that users, groups and delegations of this machine take, in order, touching ones merged.
/// Delegations to `lxhost` are ours and do not count. Lines that do not parse are skipped, as the
/// programs that own these files do.
///
/// # Errors
/// `Failed` naming the file that cannot be read or is absurdly large: guessing would share ids.
pub(super) fn taken(source: &Source) -> Result<Vec<IdRange>> {
    let mut ranges = Vec::new();
    for file in ["etc/subuid", "etc/subgid"] {
        ranges.extend(source.text(file, CAP)?.unwrap_or_default().lines().filter_map(delegation));
    }
    for file in ["etc/passwd", "etc/group"] {
        ranges.extend(source.text(file, CAP)?.unwrap_or_default().lines().filter_map(owner));
    }
    Ok(merge(ranges))
}

/// `name:first:count`
fn delegation(line: &str) -> Option<IdRange> {
    let mut fields = line.trim().split(':');
    let (name, base, size) = (fields.next()?, fields.next()?, fields.next()?);
    let range = IdRange { base: base.parse().ok()?, size: size.parse().ok()? };
    (name != "lxhost" && !name.starts_with('#') && range.size > 0).then_some(range)
}

/// `name:password:id:…`, of users and groups alike
fn owner(line: &str) -> Option<IdRange> {
    Some(IdRange { base: line.split(':').nth(2)?.parse().ok()?, size: 1 })
}

fn merge(mut ranges: Vec<IdRange>) -> Vec<IdRange> {
    let end = |range: &IdRange| (u64::from(range.base) + u64::from(range.size)).min(1 << 32);
    ranges.sort_unstable();
    let mut merged: Vec<IdRange> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if u64::from(range.base) <= end(last) => {
                let size = end(last).max(end(&range)) - u64::from(last.base);
                last.size = u32::try_from(size).unwrap_or(u32::MAX);
            }
            _ => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Source) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join("etc").join(name), text).unwrap();
        }
        let source = Source::new(dir.path());
        (dir, source)
    }

    #[test]
    fn users_groups_and_delegations_are_taken_and_touching_ones_merge() {
        let (_dir, source) = machine(&[
            ("subuid", "mia:100000:65536\nulf:165536:65536\nlxhost:1000000:1000000000\n"),
            ("subgid", "mia:100000:65536\n"),
            ("passwd", "root:x:0:0::/root:/bin/sh\nmia:x:1000:1000::/home/mia:/bin/sh\nnobody:x:65534:65534::/:/x\n"),
            ("group", "root:x:0:\nadm:x:1:\n"),
        ]);
        let range = |base, size| IdRange { base, size };
        assert_eq!(taken(&source).unwrap(), [range(0, 2), range(1000, 1), range(65_534, 1), range(100_000, 131_072)]);
    }

    #[test]
    fn nonsense_is_skipped_and_never_wraps() {
        let text = "\n#mia:1:1\nmia\nmia:x:y\nmia:5:0\nmia:-1:5\nmia:4294967295:4294967295\nmia:99999999999:1\n::\n\u{1F980}:7:1";
        let (_dir, source) = machine(&[("subuid", text)]);
        let found = taken(&source).unwrap();
        assert_eq!(found, [IdRange { base: 7, size: 1 }, IdRange { base: u32::MAX, size: u32::MAX }]);
        let (_dir, source) = machine(&[("subuid", "a:0:4294967295\nb:1:4294967295\n")]);
        assert_eq!(taken(&source).unwrap(), [IdRange { base: 0, size: u32::MAX }]);
    }

    #[test]
    fn no_files_mean_nothing_is_taken_and_an_unreadable_one_is_an_error() {
        let (dir, source) = machine(&[]);
        assert_eq!(taken(&source).unwrap(), []);
        std::fs::create_dir(dir.path().join("etc/passwd")).unwrap();
        assert!(taken(&source).unwrap_err().message.contains("etc/passwd"));
    }
}
