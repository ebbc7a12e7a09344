//! Caps on what an image may cost. Defaults are far above real images; the daemon sets `bytes` to
//! what the disk can spare.

/// Caps of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes written to disk, over all files; also bounds what a decompressor may give out.
    pub(crate) bytes: u64,
    /// Entries of the archive, extension headers included.
    pub(crate) entries: u64,
    /// Components of a path.
    pub(crate) depth: usize,
    /// Bytes of a path or link target (`PATH_MAX` without its NUL).
    pub(crate) path: usize,
    /// Bytes of one extension header.
    pub(crate) extension: u64,
    /// Pieces of a sparse file.
    pub(crate) pieces: usize,
    /// Bytes of metadata.yaml.
    pub(crate) metadata: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            bytes: 64 << 30,
            entries: 4_000_000,
            depth: 256,
            path: 4095,
            extension: 1 << 20,
            pieces: 100_000,
            metadata: 1 << 20,
        }
    }
}

impl Limits {
    /// Bytes an archive may have when decompressed: the files, and the headers around them.
    pub(crate) fn stream(&self) -> u64 {
        self.bytes.saturating_add(self.entries.saturating_mul(2048)).saturating_add(64 << 20)
    }
}
