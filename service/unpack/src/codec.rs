//! From bytes on standard input to a tar stream: the compression is told by its magic number, never
//! by a name. Depends on the codecs; called by `metadata` and `unpack`.

use crate::error::{Error, Result};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes a decompressor may use for its window.
const WINDOW_LOG: u32 = 27;
/// Bytes the xz decompressor may use (`xz -9` needs 65 MiB).
const XZ_MEMORY: u64 = 256 << 20;
/// Bytes read at a time.
const BLOCK: usize = 256 << 10;

/// What an image's file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// A tar archive, not compressed.
    Tar,
    /// gzip.
    Gzip,
    /// xz.
    Xz,
    /// Zstandard.
    Zstd,
    /// A squashfs file system.
    Squashfs,
}

/// Tells the format by the first bytes.
///
/// # Errors
/// `Archive` for anything else.
pub(crate) fn detect(start: &[u8]) -> Result<Format> {
    match start {
        [0x1f, 0x8b, 8, ..] => Ok(Format::Gzip),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Ok(Format::Xz),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Format::Zstd),
        [b'h', b's', b'q', b's', ..] => Ok(Format::Squashfs),
        _ if start.len() >= 512 && &start[257..262] == b"ustar" => Ok(Format::Tar),
        [] => Err(Error::Archive("the file is empty".into())),
        _ => Err(Error::Archive("neither tar, tar.gz, tar.xz, tar.zst nor squashfs".into())),
    }
}

/// Counts bytes as they are read, for progress.
pub(crate) struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.count.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// The file of an image, its format known.
pub(crate) struct Input<R> {
    /// What it is.
    pub(crate) format: Format,
    /// Its bytes as they are on disk, from the first.
    pub(crate) raw: BufReader<Counted<R>>,
    /// Bytes read so far.
    pub(crate) count: Arc<AtomicU64>,
    /// Bytes of the file; 0 when it is a pipe.
    pub(crate) size: u64,
}

/// Looks at the first bytes of `file`.
///
/// # Errors
/// `Archive` when it is no image's file; `Io`.
pub(crate) fn open(file: File) -> Result<Input<File>> {
    let size = file.metadata().map_err(|e| Error::io("read the image", e))?.len();
    look(file, size)
}

/// Looks at the first of the `size` bytes of `inner`.
///
/// # Errors
/// As `open`.
pub(crate) fn look<R: Read>(inner: R, size: u64) -> Result<Input<R>> {
    let count = Arc::new(AtomicU64::new(0));
    let mut raw = BufReader::with_capacity(BLOCK, Counted { inner, count: count.clone() });
    let format = detect(raw.fill_buf().map_err(|e| Error::io("read the image", e))?)?;
    Ok(Input { format, raw, count, size })
}

impl<R: Read + Send + 'static> Input<R> {
    /// The tar stream in it, at most `cap` bytes of it.
    ///
    /// # Errors
    /// `Archive` for squashfs, which holds none.
    pub(crate) fn tar(self, cap: u64) -> Result<Box<dyn Read + Send>> {
        let start = |e: io::Error| Error::io("start decompressing", e);
        let stream: Box<dyn Read + Send> = match self.format {
            Format::Tar => Box::new(self.raw),
            Format::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(self.raw)),
            Format::Xz => {
                let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)
                    .map_err(|e| start(e.into()))?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(self.raw, stream))
            }
            Format::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(self.raw).map_err(start)?;
                decoder.window_log_max(WINDOW_LOG).map_err(start)?;
                Box::new(decoder)
            }
            Format::Squashfs => return Err(Error::Archive("a squashfs file system cannot hold the metadata".into())),
        };
        Ok(Box::new(Capped { inner: stream, left: cap }))
    }
}

/// Gives an error instead of more bytes than the cap.
struct Capped<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        match self.left.checked_sub(n as u64) {
            Some(left) => self.left = left,
            None => return Err(io::ErrorKind::FileTooLarge.into()),
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_magic_and_nothing_else_passes() {
        let mut tar = [0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        assert_eq!(detect(&tar).unwrap(), Format::Tar);
        assert_eq!(detect(b"hsqs....").unwrap(), Format::Squashfs);
        for bad in [&b""[..], b"PK\x03\x04", b"ustar", &[0; 1024]] {
            assert!(matches!(detect(bad), Err(Error::Archive(_))));
        }
    }

    #[test]
    fn a_bomb_ends_at_the_cap() {
        let mut reader = Capped { inner: io::repeat(0), left: 100_000 };
        let mut sink = Vec::new();
        assert_eq!(reader.read_to_end(&mut sink).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert!(sink.len() <= 100_000 + 65_536);
    }
}
