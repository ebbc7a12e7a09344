//! Unpacks a squashfs root by `unsquashfs`: lists it first to know that it keeps the caps, then lets it
//! write. Runs only inside the sandbox, where nothing but the target can be written. Called by `unpack`.

use crate::error::{Error, Result, shown};
use crate::limits::Limits;
use crate::tree::Counts;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

/// The image: our own standard input, opened anew.
const INPUT: &str = "/proc/self/fd/0";
/// The program; the sandbox has nothing but /usr.
const PROGRAM: &str = "/usr/bin/unsquashfs";

/// Unpacks standard input into the empty directory `target`.
///
/// # Errors
/// `Limit`, `Archive` with the program's last words, `Io` when it is not installed.
pub(crate) fn run(target: &std::ffi::OsStr, limits: &Limits) -> Result<Counts> {
    let counts = list(limits)?;
    let mut command = Command::new(PROGRAM);
    command.args(["-no-progress", "-quiet", "-force", "-ignore-errors", "-no-exit-code", "-dest"]);
    command.arg(target).arg(INPUT);
    command.stdin(Stdio::inherit()).stdout(Stdio::null()).stderr(Stdio::piped());
    let output = command.output().map_err(|e| Error::io(PROGRAM, e))?;
    if output.status.success() {
        return Ok(counts);
    }
    let last = output.stderr.split(|b| *b == b'\n').rfind(|line| !line.is_empty()).unwrap_or_default();
    if last.windows(15).any(|w| w == b"No space left o") {
        return Err(Error::io("unpack", std::io::Error::from(std::io::ErrorKind::StorageFull)));
    }
    Err(Error::Archive(format!("unsquashfs: {}", shown(last))))
}

/// Adds up what the image on standard input says of itself. The sizes are those that `unsquashfs` will
/// write.
///
/// # Errors
/// `Limit`, `Archive`, `Io`.
pub(crate) fn list(limits: &Limits) -> Result<Counts> {
    let mut command = Command::new(PROGRAM);
    command.args(["-llnumeric", INPUT]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|e| Error::io(PROGRAM, e))?;
    let counted = match child.stdout.take() {
        Some(output) => count(BufReader::new(output), limits),
        None => Err(Error::Archive("unsquashfs gave nothing".into())),
    };
    if counted.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().map_err(|e| Error::io(PROGRAM, e))?;
    match counted? {
        counts if status.success() && counts.entries > 0 => Ok(counts),
        _ => Err(Error::Archive("unsquashfs cannot list it".into())),
    }
}

/// Adds up lines such as `-rw-r--r-- 0/0   123 2024-01-01 00:00 squashfs-root/x`. A line break in a
/// name can only add to the sums.
pub(crate) fn count(mut lines: impl BufRead, limits: &Limits) -> Result<Counts> {
    let (mut counts, mut line) = (Counts::default(), Vec::new());
    loop {
        line.clear();
        let n = (&mut lines).take(16 << 10).read_until(b'\n', &mut line).map_err(|e| Error::io("unsquashfs", e))?;
        if n == 0 {
            return Ok(counts);
        }
        counts.entries += 1;
        if counts.entries > limits.entries {
            return Err(Error::Limit(format!("more than {} entries", limits.entries)));
        }
        let mut fields = line.split(|b| *b == b' ').filter(|field| !field.is_empty());
        match fields.next().and_then(|mode| mode.first()) {
            Some(b'-') => {
                let size = fields.nth(1).and_then(|size| str::from_utf8(size).ok()?.parse::<u64>().ok()).unwrap_or(0);
                counts.bytes = counts.bytes.saturating_add(size);
            }
            Some(b'b' | b'c') => counts.devices += 1,
            _ => {}
        }
        if counts.bytes > limits.bytes {
            return Err(Error::Limit(format!("the image has more than {} bytes", limits.bytes)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_added_up_and_stopped_at_the_caps() {
        let listing =
            b"drwxr-xr-x 0/0     50 2024-01-01 00:00 squashfs-root\n-rw-r--r-- 0/0    1000 2024-01-01 00:00 squashfs-root/a\n\
            crw-rw-rw- 0/0   5,  1 2024-01-01 00:00 squashfs-root/console\n-rw-r--r-- 0/0 18446744073709551615 x\n";
        let head = &listing[..listing.iter().rposition(|b| *b == b'5').unwrap() - 30];
        let counts = count(head, &Limits::default()).unwrap();
        assert_eq!((counts.bytes, counts.devices), (1000, 1));
        assert!(matches!(count(&listing[..], &Limits::default()), Err(Error::Limit(_))));
        assert!(matches!(count(&listing[..], &Limits { entries: 2, ..Limits::default() }), Err(Error::Limit(_))));
    }
}
