//! Sparse files as GNU tar writes them: the old format in the header, and pax 0.0, 0.1 and 1.0.
//! Pure parsing of the map; called by the reader.

use super::pax::decimal;

/// Where a file's data belongs: pieces of (offset, length) in order, and its whole size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Map {
    /// Pieces, in order and apart.
    pub(crate) pieces: Vec<(u64, u64)>,
    /// Size with the holes.
    pub(crate) size: u64,
}

/// What the `GNU.sparse.*` records say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Keys {
    major: Option<u64>,
    /// The real name.
    pub(crate) name: Option<Vec<u8>>,
    size: Option<u64>,
    offset: Option<u64>,
    pieces: Vec<(u64, u64)>,
}

impl Keys {
    /// Whether nothing was said.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Keys::default()
    }

    /// Takes one record, its prefix removed.
    pub(crate) fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        match key {
            b"major" => self.major = Some(decimal(value)?),
            b"name" => self.name = Some(value.to_vec()),
            b"size" | b"realsize" => self.size = Some(decimal(value)?),
            b"offset" => self.offset = Some(decimal(value)?),
            b"numbytes" => {
                let offset = self.offset.take().ok_or("a sparse file's map is malformed")?;
                self.pieces.push((offset, decimal(value)?));
            }
            b"map" => {
                let numbers = value.split(|b| *b == b',').map(decimal).collect::<Result<Vec<_>, _>>()?;
                let (pairs, rest) = numbers.as_chunks::<2>();
                if !rest.is_empty() {
                    return Err("a sparse file's map is malformed");
                }
                self.pieces = pairs.iter().map(|[offset, length]| (*offset, *length)).collect();
            }
            _ => {}
        }
        Ok(())
    }

    /// The size, when the map stands before the data (format 1.0).
    pub(crate) fn inline(&self) -> Result<Option<u64>, &'static str> {
        match self.major {
            Some(1) => self.size.map(Some).ok_or("a sparse file without a size"),
            Some(0) | None => Ok(None),
            Some(_) => Err("a sparse file of an unknown format"),
        }
    }

    /// The map, when it stands in the records (formats 0.0 and 0.1).
    pub(crate) fn map(&mut self) -> Option<Map> {
        let size = self.size?;
        Some(Map { pieces: std::mem::take(&mut self.pieces), size })
    }
}

impl Map {
    /// Checks order, sums and caps against the bytes of data in the archive.
    pub(crate) fn check(&self, data: u64, cap: usize) -> Result<(), &'static str> {
        if self.pieces.len() > cap {
            return Err("a sparse file has too many pieces");
        }
        let (mut end, mut sum) = (0u64, 0u64);
        for (offset, length) in &self.pieces {
            if *offset < end {
                return Err("pieces of a sparse file overlap");
            }
            end = offset.checked_add(*length).ok_or("a sparse file is too large")?;
            sum += length;
        }
        if end > self.size || i64::try_from(self.size).is_err() {
            return Err("a sparse file is larger than it says");
        }
        if sum != data {
            return Err("pieces of a sparse file are not what its data is");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_that_overlap_or_lie_are_refused() {
        let map = |pieces: &[(u64, u64)], size| Map { pieces: pieces.to_vec(), size };
        assert_eq!(map(&[(0, 512), (1024, 512)], 4096).check(1024, 10), Ok(()));
        for (bad, data) in [
            (map(&[(0, 512), (256, 512)], 4096), 1024),
            (map(&[(0, 512)], 100), 512),
            (map(&[(0, 512)], 512), 513),
            (map(&[(u64::MAX, 2)], u64::MAX), 2),
            (map(&[(0, 1); 11], 100), 11),
            (map(&[], u64::MAX), 0),
        ] {
            assert!(bad.check(data, 10).is_err(), "{bad:?}");
        }
    }
}
