//! Writes an initial ramdisk: a cpio archive of the kind the kernel reads. Depends on nothing. Called by
//! `image`.

use std::io::{self, Write};

/// An archive that is being written.
#[derive(Debug)]
pub(super) struct Cpio<W> {
    to: W,
    count: u32,
}

impl<W: Write> Cpio<W> {
    pub(super) fn new(to: W) -> Self {
        Self { to, count: 0 }
    }

    /// Adds a directory.
    pub(super) fn directory(&mut self, path: &str) -> io::Result<()> {
        self.entry(path, 0o040_755, &[])
    }

    /// Adds a file with its permissions.
    pub(super) fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.entry(path, 0o100_000 | mode, content)
    }

    /// Writes the end.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.entry("TRAILER!!!", 0, &[])?;
        self.to.flush()?;
        Ok(self.to)
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.count += 1;
        let size = u32::try_from(content.len()).map_err(io::Error::other)?;
        let name = u32::try_from(path.len() + 1).map_err(io::Error::other)?;
        // Number, mode, owner, group, links, time, size, four numbers of devices, length of the name, sum.
        let fields = [self.count, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name, 0];
        let head: String = fields.iter().map(|field| format!("{field:08X}")).collect();
        let mut bytes = format!("070701{head}{path}\0").into_bytes();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        self.to.write_all(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_begins_at_a_multiple_of_four() {
        let mut archive = Cpio::new(Vec::new());
        archive.directory("dev").unwrap();
        archive.file("init", 0o755, b"#!/x\n").unwrap();
        let bytes = archive.finish().unwrap();
        let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"070701")).collect();
        assert_eq!(places.len(), 3);
        assert!(places.iter().all(|place| place % 4 == 0), "{places:?}");
        assert!(bytes[places[1]..].starts_with(b"07070100000002000081ED0000000000000000000000010000000000000005"));
    }
}
