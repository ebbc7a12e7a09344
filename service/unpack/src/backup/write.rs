//! The end of a backup that is written to: a compressor, told by its name. Depends on the codecs. Called by `pack`.

use lxhost_model::backup::Compression;
use rustix::event::{PollFd, PollFlags};
use std::fs::File;
use std::io::{self, BufWriter, Write};

/// Bytes gathered before they are written.
const BLOCK: usize = 256 << 10;
/// What zstd's own tool uses.
const ZSTD_LEVEL: i32 = 3;
/// What gzip's and xz's own tools use.
const LEVEL: u32 = 6;

/// A descriptor of somebody who may have made it non-blocking.
pub(crate) struct Patient(File);

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    rustix::event::poll(&mut [PollFd::new(&self.0, PollFlags::OUT)], None)?;
                }
                written => return written,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A file that is compressed on its way.
pub(crate) enum Encoder {
    None(BufWriter<Patient>),
    Gzip(flate2::write::GzEncoder<BufWriter<Patient>>),
    Xz(liblzma::write::XzEncoder<BufWriter<Patient>>),
    Zstd(zstd::stream::write::Encoder<'static, BufWriter<Patient>>),
}

impl Encoder {
    /// Compresses into `file`. What is damaged or cut off is found when it is read: all of them have checksums.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub(crate) fn new(file: File, compression: Compression) -> io::Result<Encoder> {
        let file = BufWriter::with_capacity(BLOCK, Patient(file));
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_pipe_that_does_not_wait_is_waited_for() {
        let (mut reader, writer) = io::pipe().unwrap();
        rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::NONBLOCK).unwrap();
        let writing = std::thread::spawn(move || {
            let mut encoder = Encoder::new(File::from(std::os::fd::OwnedFd::from(writer)), Compression::None)?;
            encoder.write_all(&vec![7; 3 << 20])?;
            encoder.finish()
        });
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        writing.join().unwrap().unwrap();
        assert_eq!(all.len(), 3 << 20);
    }
}
