//! A tar reader for hostile archives: pax, ustar and GNU; every extension header is capped, every
//! ambiguity between tar implementations is refused, truncation is an error. Reads from any stream;
//! knows nothing of the file system. Called by `metadata` and `unpack`.

mod header;
mod pax;
mod sparse;

pub(crate) use sparse::Map;

use crate::error::{Error, Result};
use crate::limits::Limits;
use header::Header;
use pax::Pax;
use std::io::{self, Read};

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A regular file.
    File,
    /// Another name of a file before it.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
    /// A device node.
    Device,
}

/// An entry; its data is read from the archive before the next entry.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Name as the archive has it.
    pub(crate) name: Vec<u8>,
    /// Target of a link.
    pub(crate) link: Vec<u8>,
    /// What it is.
    pub(crate) kind: Kind,
    /// Permission bits, with setuid, setgid and sticky.
    pub(crate) mode: u32,
    /// Owner.
    pub(crate) uid: u32,
    /// Group.
    pub(crate) gid: u32,
    /// Modification time.
    pub(crate) mtime: (i64, u32),
    /// Bytes of data in the archive.
    pub(crate) size: u64,
    /// Where they belong, for a sparse file.
    pub(crate) sparse: Option<Map>,
    /// Extended attributes.
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// ACLs as text, under the name of their attribute.
    pub(crate) acls: Vec<(&'static str, Vec<u8>)>,
}

/// A tar stream.
pub(crate) struct Archive<R> {
    input: R,
    limits: Limits,
    /// Entries and extension headers met.
    entries: u64,
    /// Data of the current entry not yet read.
    data: u64,
    /// Padding after it.
    padding: u64,
    /// Records that hold for all entries to come.
    global: Pax,
}

impl<R: Read> Archive<R> {
    /// Reads `input` within `limits`.
    pub(crate) fn new(input: R, limits: Limits) -> Self {
        Archive { input, limits, entries: 0, data: 0, padding: 0, global: Pax::default() }
    }

    /// The next entry; `None` at the archive's end mark.
    ///
    /// # Errors
    /// `Archive` for a malformed or truncated archive, `Entry`, `Limit`.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>> {
        let (mut long_name, mut long_link, mut local) = (None, None, None);
        loop {
            self.skip()?;
            let mut block = [0; 512];
            self.fill(&mut block)?;
            if header::is_end(&block) {
                return match (&long_name, &long_link, &local) {
                    (None, None, None) => Ok(None),
                    _ => Err(Error::Archive("it ends after the header of an entry".into())),
                };
            }
            self.entries += 1;
            if self.entries > self.limits.entries {
                return Err(Error::Limit(format!("more than {} entries", self.limits.entries)));
            }
            let header = Header::parse(&block).map_err(|why| Error::Archive(why.into()))?;
            match header.kind() {
                b'L' => once(&mut long_name, self.extension(&header)?)?,
                b'K' => once(&mut long_link, self.extension(&header)?)?,
                b'x' => once(&mut local, self.extension(&header)?)?,
                b'g' => {
                    let bytes = self.extension(&header)?;
                    self.global.read_global(&bytes).map_err(|why| Error::Archive(why.into()))?;
                }
                _ => return self.entry(&header, long_name, long_link, local).map(Some),
            }
        }
    }

    /// Reads the whole of an extension header.
    fn extension(&mut self, header: &Header<'_>) -> Result<Vec<u8>> {
        let size = header.size().map_err(|why| Error::Archive(why.into()))?;
        if size > self.limits.extension {
            return Err(Error::Limit(format!("an extension header of {size} bytes")));
        }
        self.begin(size);
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        self.fill(&mut bytes)?;
        self.data = 0;
        Ok(bytes)
    }

    fn begin(&mut self, size: u64) {
        self.data = size;
        self.padding = size.next_multiple_of(512) - size;
    }

    fn entry(
        &mut self,
        header: &Header<'_>,
        name: Option<Vec<u8>>,
        link: Option<Vec<u8>>,
        local: Option<Vec<u8>>,
    ) -> Result<Entry> {
        let mut pax = self.global.clone();
        pax.read(&local.unwrap_or_default()).map_err(|why| Error::Archive(why.into()))?;
        let name = pax.sparse.name.take().or(pax.path.take()).or(name.map(without_nul)).unwrap_or_else(|| header.name());
        let bad = |why: &'static str| Error::entry(&name, why);
        let size = pax.size.map_or_else(|| header.size(), Ok).map_err(bad)?;
        if size > self.limits.stream() {
            return Err(Error::Limit(format!("entry {} of {size} bytes", crate::error::shown(&name))));
        }
        let kind = match header.kind() {
            // Before ustar, a directory was a file whose name ended in a slash.
            0 if name.ends_with(b"/") => Kind::Directory,
            b'0' | 0 | b'7' | b'S' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' | b'4' => Kind::Device,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            other => return Err(Error::entry(&name, format!("type {} is not supported", crate::error::shown(&[other])))),
        };
        // Whether data follows such an entry is read differently by different programs.
        if kind != Kind::File && size != 0 {
            return Err(bad("only a file may have data"));
        }
        self.begin(size);
        let sparse = self.sparse_map(header, &mut pax).map_err(|error| match error {
            Error::Archive(why) => Error::entry(&name, why),
            other => other,
        })?;
        let id = |n: u64| u32::try_from(n).ok().filter(|n| *n != u32::MAX).ok_or_else(|| bad("an owner is out of range"));
        Ok(Entry {
            link: pax.link.take().or(link.map(without_nul)).unwrap_or_else(|| header.link()),
            kind,
            mode: header.mode().map_err(bad)? as u32 & 0o7777,
            uid: id(pax.uid.map_or_else(|| header.uid(), Ok).map_err(bad)?)?,
            gid: id(pax.gid.map_or_else(|| header.gid(), Ok).map_err(bad)?)?,
            mtime: pax.mtime.map_or_else(|| header.mtime().map(|t| (t, 0)), Ok).map_err(bad)?,
            size: self.data,
            sparse,
            xattrs: pax.xattrs.into_iter().collect(),
            acls: pax.acls.into_iter().collect(),
            name,
        })
    }

    /// The map of a sparse file; reads it from the stream where it stands there.
    fn sparse_map(&mut self, header: &Header<'_>, pax: &mut Pax) -> Result<Option<Map>> {
        let bad = |why: &'static str| Error::Archive(why.into());
        let map = if header.kind() == b'S' {
            let (mut pieces, size, mut more) = header.sparse().map_err(bad)?;
            while more {
                let mut block = [0; 512];
                // These blocks stand between the header and the data and do not count as data.
                self.input.read_exact(&mut block).map_err(truncated)?;
                let (further, again) = header::sparse_more(&block).map_err(bad)?;
                pieces.extend(further);
                more = again;
                if pieces.len() > self.limits.pieces {
                    return Err(Error::Limit("a sparse file has too many pieces".into()));
                }
            }
            Some(Map { pieces, size })
        } else if let Some(size) = pax.sparse.inline().map_err(bad)? {
            Some(Map { pieces: self.inline_map()?, size })
        } else {
            pax.sparse.map()
        };
        if let Some(map) = &map {
            map.check(self.data, self.limits.pieces).map_err(bad)?;
        }
        Ok(map)
    }

    /// The map of pax format 1.0: decimal lines before the data, filled up to a block.
    fn inline_map(&mut self) -> Result<Vec<(u64, u64)>> {
        let malformed = || Error::Archive("a sparse file's map is malformed".into());
        let (mut numbers, mut wanted, mut digits) = (Vec::new(), None, Vec::new());
        loop {
            if self.data < 512 {
                return Err(malformed());
            }
            let mut block = [0; 512];
            self.fill(&mut block)?;
            self.data -= 512;
            for byte in block {
                if byte != b'\n' {
                    digits.push(byte);
                    if digits.len() > 20 && wanted != Some(numbers.len()) {
                        return Err(malformed());
                    }
                    continue;
                }
                let number = pax::decimal(&digits).map_err(|_| malformed())?;
                digits.clear();
                match wanted {
                    None if number > self.limits.pieces as u64 => return Err(malformed()),
                    None => wanted = Some(number as usize * 2),
                    Some(count) if numbers.len() < count => numbers.push(number),
                    Some(_) => return Err(malformed()),
                }
            }
            if wanted == Some(numbers.len()) {
                return Ok(numbers.as_chunks::<2>().0.iter().map(|[offset, length]| (*offset, *length)).collect());
            }
        }
    }

    /// Reads data of the current entry; 0 at its end.
    ///
    /// # Errors
    /// `Archive` when the archive ends first.
    pub(crate) fn read_data(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let want = buffer.len().min(usize::try_from(self.data).unwrap_or(usize::MAX));
        if want == 0 {
            return Ok(0);
        }
        match self.input.read(&mut buffer[..want]) {
            Ok(0) => Err(truncated(io::ErrorKind::UnexpectedEof.into())),
            Ok(n) => {
                self.data -= n as u64;
                Ok(n)
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => self.read_data(buffer),
            Err(e) => Err(truncated(e)),
        }
    }

    /// Skips what is left of the current entry.
    fn skip(&mut self) -> Result<()> {
        let mut left = self.data + self.padding;
        let mut buffer = [0; 32 << 10];
        while left > 0 {
            let want = left.min(buffer.len() as u64) as usize;
            self.fill(&mut buffer[..want])?;
            left -= want as u64;
        }
        (self.data, self.padding) = (0, 0);
        Ok(())
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.input.read_exact(buffer).map_err(truncated)
    }

    /// Reads on after the end mark to the end of the stream, so that the compression's checksum is
    /// verified.
    ///
    /// # Errors
    /// `Archive` when the stream is damaged or goes on for long.
    pub(crate) fn finish(mut self) -> Result<()> {
        let (mut buffer, mut left) = ([0; 32 << 10], 16 << 20);
        loop {
            match self.input.read(&mut buffer).map_err(truncated)? {
                0 => return Ok(()),
                n if n > left => return Err(Error::Archive("it goes on after its end mark".into())),
                n => left -= n,
            }
        }
    }
}

fn once(slot: &mut Option<Vec<u8>>, value: Vec<u8>) -> Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::Archive("two extension headers of one kind describe one entry".into())),
    }
}

/// A GNU long name ends in a NUL.
fn without_nul(mut name: Vec<u8>) -> Vec<u8> {
    if name.last() == Some(&0) {
        name.pop();
    }
    name
}

/// Why a stream gave no more bytes.
fn truncated(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::Archive("it is truncated".into()),
        io::ErrorKind::FileTooLarge => Error::Limit("the archive is larger than allowed when decompressed".into()),
        _ if error.raw_os_error().is_some() => Error::io("read the image", error),
        _ => Error::Archive(format!("its compression is damaged: {error}")),
    }
}

#[cfg(test)]
pub(crate) mod tests;
