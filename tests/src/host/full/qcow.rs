//! An empty disk in QEMU's own format over another one, written here so that no tool is needed for it. What a
//! host writes goes to clusters that are in the file at once, and in its tables from the next flush on: killing
//! the emulator loses what was not flushed, as power does that is cut. Depends on nothing. Called by `Full`.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};

/// 64 KiB; header, table of reference counts, their first block and the first table have one each.
const CLUSTER_BITS: u32 = 16;
const CLUSTER: usize = 1 << CLUSTER_BITS;
/// What one entry of the first table stands for.
const REACH: u64 = (CLUSTER as u64 / 8) * CLUSTER as u64;

/// Makes one at `path`, as large as `below`.
pub(super) fn create(path: &Path, below: &Path) -> Result<()> {
    let size = fs::metadata(below).with_context(|| format!("looking at {}", below.display()))?.len();
    let mut file = File::create(path).with_context(|| format!("making {}", path.display()))?;
    file.write_all(&empty(size))?;
    Ok(())
}

fn empty(size: u64) -> Vec<u8> {
    let cluster = |number: usize| (number * CLUSTER) as u64;
    let mut bytes = Vec::with_capacity(4 * CLUSTER);
    let mut add = |field: &[u8]| bytes.extend_from_slice(field);
    add(b"QFI\xfb");
    add(&3u32.to_be_bytes());
    // No name of the disk below: whoever starts the emulator says which.
    add(&[0; 12]);
    add(&CLUSTER_BITS.to_be_bytes());
    add(&size.to_be_bytes());
    add(&[0; 4]);
    add(&u32::try_from(size.div_ceil(REACH)).unwrap_or(u32::MAX).to_be_bytes());
    add(&cluster(3).to_be_bytes());
    add(&cluster(1).to_be_bytes());
    add(&1u32.to_be_bytes());
    // No snapshots, no features.
    add(&[0; 4 + 8 + 3 * 8]);
    // Counts of 16 bits; the length of this header.
    add(&4u32.to_be_bytes());
    add(&104u32.to_be_bytes());
    bytes.resize(4 * CLUSTER, 0);
    bytes[CLUSTER..CLUSTER + 8].copy_from_slice(&cluster(2).to_be_bytes());
    for used in 0..4 {
        bytes[2 * CLUSTER + 2 * used + 1] = 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_its_fields_where_the_format_has_them() {
        let bytes = empty(8 << 30);
        let number = |at: usize, length: usize| bytes[at..at + length].iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        assert_eq!((number(4, 4), number(20, 4), number(24, 8), number(36, 4)), (3, 16, 8 << 30, 16));
        assert_eq!((number(40, 8), number(48, 8), number(56, 4)), (3 << 16, 1 << 16, 1));
        assert_eq!((number(96, 4), number(100, 4), bytes.len()), (4, 104, 4 << 16));
    }
}
