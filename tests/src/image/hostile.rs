//! Archives that no honest program writes: ustar headers with any name, kind, link and size, over any
//! bytes. Depends on nothing. Called by the suite about bad input.

/// An archive in the making.
#[derive(Debug, Clone, Default)]
pub struct Archive {
    bytes: Vec<u8>,
}

/// Kinds of entries, as ustar marks them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File = b'0' as isize,
    /// A hard link.
    Hard = b'1' as isize,
    /// A symbolic link.
    Symbolic = b'2' as isize,
    /// A block device.
    Block = b'4' as isize,
    /// A directory.
    Directory = b'5' as isize,
}

/// Metadata of a unified image that is right.
pub const METADATA: &[u8] = b"architecture: x86_64\ncreation_date: 1763769600\nproperties:\n  os: busybox\n";

impl Archive {
    /// An archive that begins as a unified image with right metadata and an empty root.
    #[must_use]
    pub fn image() -> Self {
        Self::default().file("metadata.yaml", METADATA).entry("rootfs/", Kind::Directory, "", &[])
    }

    /// Adds a file.
    #[must_use]
    pub fn file(self, name: &str, content: &[u8]) -> Self {
        self.entry(name, Kind::File, "", content)
    }

    /// Adds an entry.
    #[must_use]
    pub fn entry(mut self, name: &str, kind: Kind, link: &str, content: &[u8]) -> Self {
        self.header(name, kind, link, content.len() as u64);
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }

    /// Adds the header of a file that claims this size; what follows is the caller's.
    #[must_use]
    pub fn claim(mut self, name: &str, size: u64) -> Self {
        self.header(name, Kind::File, "", size);
        self
    }

    /// The archive with its end mark.
    #[must_use]
    pub fn whole(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&[0; 1024]);
        self.bytes
    }

    /// The archive without an end mark.
    #[must_use]
    pub fn open(self) -> Vec<u8> {
        self.bytes
    }

    fn header(&mut self, name: &str, kind: Kind, link: &str, size: u64) {
        let mut block = [0_u8; 512];
        let mut put = |at: usize, length: usize, text: &[u8]| {
            let length = length.min(text.len());
            block[at..at + length].copy_from_slice(&text[..length]);
        };
        put(0, 100, name.as_bytes());
        put(100, 8, b"0000755\0");
        put(108, 8, b"0000000\0");
        put(116, 8, b"0000000\0");
        put(136, 12, b"00000000000\0");
        put(148, 8, b"        ");
        put(156, 1, &[kind as u8]);
        put(157, 100, link.as_bytes());
        put(257, 8, b"ustar\x0000");
        put(329, 16, b"0000000\x000000000\0");
        if size < 1 << 33 {
            put(124, 12, format!("{size:011o}\0").as_bytes());
        } else {
            // What octal digits cannot say is binary, with the highest bit set.
            put(124, 12, &[&[0x80, 0, 0, 0], &size.to_be_bytes()[..]].concat());
        }
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.bytes.extend_from_slice(&block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    #[test]
    fn gnu_tar_reads_an_archive_as_it_was_meant() {
        let archive = Archive::image().file("rootfs/x", b"12345").entry("rootfs/l", Kind::Symbolic, "x", &[]).whole();
        let mut tar = Command::new("tar").args(["-tvf", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        tar.stdin.take().unwrap().write_all(&archive).unwrap();
        let output = tar.wait_with_output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success());
        assert_eq!(said.lines().count(), 4, "{said}");
        assert!(said.contains("rootfs/l -> x") && said.contains(" 5 "), "{said}");
    }
}
