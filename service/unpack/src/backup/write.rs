//! The end of a backup that is written to: a compressor, told by its name. Depends on the codecs. Called by `pack`.

use lxhost_model::backup::Compression;
use std::fs::File;
use std::io::{self, BufWriter, Write};

/// Bytes gathered before they are written.
const BLOCK: usize = 256 << 10;
/// What zstd's own tool uses.
const ZSTD_LEVEL: i32 = 3;
/// What gzip's and xz's own tools use.
const LEVEL: u32 = 6;

/// A file that is compressed on its way.
pub(crate) enum Encoder {
    None(BufWriter<File>),
    Gzip(flate2::write::GzEncoder<BufWriter<File>>),
    Xz(liblzma::write::XzEncoder<BufWriter<File>>),
    Zstd(zstd::stream::write::Encoder<'static, BufWriter<File>>),
}

impl Encoder {
    /// Compresses into `file`. What is damaged or cut off is found when it is read: all of them have checksums.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub(crate) fn new(file: File, compression: Compression) -> io::Result<Encoder> {
        let file = BufWriter::with_capacity(BLOCK, file);
        Ok(match compression {
            Compression::None => Encoder::None(file),
            Compression::Gzip => Encoder::Gzip(flate2::write::GzEncoder::new(file, flate2::Compression::new(LEVEL))),
            Compression::Xz => Encoder::Xz(liblzma::write::XzEncoder::new(file, LEVEL)),
            Compression::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(file, ZSTD_LEVEL)?;
                encoder.include_checksum(true)?;
                Encoder::Zstd(encoder)
            }
        })
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// Those of the file.
    pub(crate) fn finish(self) -> io::Result<()> {
        let mut file = match self {
            Encoder::None(file) => file,
            Encoder::Gzip(encoder) => encoder.finish()?,
            Encoder::Xz(encoder) => encoder.finish()?,
            Encoder::Zstd(encoder) => encoder.finish()?,
        };
        file.flush()
    }
}

impl Write for Encoder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Encoder::None(file) => file.write(bytes),
            Encoder::Gzip(encoder) => encoder.write(bytes),
            Encoder::Xz(encoder) => encoder.write(bytes),
            Encoder::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        // Only the end is flushed: in between it would cost what compression gains.
        Ok(())
    }
}
