//! One 512-byte header block of a tar archive (POSIX.1-2017 pax, ustar; GNU extensions). Pure parsing,
//! strict: what GNU tar would read differently is refused. Called by the reader.

/// Offset and length of each piece of a sparse file.
type Pieces = Vec<(u64, u64)>;

/// A header block whose checksum was right.
pub(crate) struct Header<'a>(&'a [u8; 512]);

/// Whether a block holds only zeros: the end of the archive.
pub(crate) fn is_end(block: &[u8; 512]) -> bool {
    block.iter().all(|b| *b == 0)
}

impl<'a> Header<'a> {
    /// Checks the checksum.
    pub(crate) fn parse(block: &'a [u8; 512]) -> Result<Header<'a>, &'static str> {
        let sum: u64 = block[..148].iter().chain(&block[156..]).map(|b| u64::from(*b)).sum::<u64>() + 8 * 32;
        if number(&block[148..156])? != sum {
            return Err("a header's checksum is wrong");
        }
        Ok(Header(block))
    }

    /// Type flag.
    pub(crate) fn kind(&self) -> u8 {
        self.0[156]
    }

    /// Name, with the prefix of ustar.
    pub(crate) fn name(&self) -> Vec<u8> {
        let name = text(&self.0[..100]);
        let prefix = if &self.0[257..263] == b"ustar\0" { text(&self.0[345..500]) } else { b"" };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    /// Target of a link.
    pub(crate) fn link(&self) -> Vec<u8> {
        text(&self.0[157..257]).to_vec()
    }

    /// Permission bits.
    pub(crate) fn mode(&self) -> Result<u64, &'static str> {
        number(&self.0[100..108])
    }

    /// Owner.
    pub(crate) fn uid(&self) -> Result<u64, &'static str> {
        number(&self.0[108..116])
    }

    /// Group.
    pub(crate) fn gid(&self) -> Result<u64, &'static str> {
        number(&self.0[116..124])
    }

    /// Bytes of data after the header.
    pub(crate) fn size(&self) -> Result<u64, &'static str> {
        number(&self.0[124..136])
    }

    /// Seconds since the epoch; times before it are taken as the epoch.
    pub(crate) fn mtime(&self) -> Result<i64, &'static str> {
        if self.0[136] == 0xff {
            return Ok(0);
        }
        number(&self.0[136..148]).map(|n| i64::try_from(n).unwrap_or(0))
    }

    /// Pieces, size and continuation flag of an old GNU sparse header.
    pub(crate) fn sparse(&self) -> Result<(Pieces, u64, bool), &'static str> {
        if &self.0[257..265] != b"ustar  \0" {
            return Err("a sparse file in an archive that is not GNU's");
        }
        Ok((pieces(&self.0[386..482])?, number(&self.0[483..495])?, self.0[482] != 0))
    }
}

/// Pieces and continuation flag of a block that continues an old GNU sparse header.
pub(crate) fn sparse_more(block: &[u8; 512]) -> Result<(Pieces, bool), &'static str> {
    Ok((pieces(&block[..504])?, block[504] != 0))
}

fn pieces(fields: &[u8]) -> Result<Pieces, &'static str> {
    let (pairs, _) = fields.as_chunks::<24>();
    pairs.iter().take_while(|pair| pair[0] != 0).map(|pair| Ok((number(&pair[..12])?, number(&pair[12..])?))).collect()
}

/// A field up to its NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|b| *b == 0).next().unwrap_or_default()
}

/// A number in octal, or in base 256 when its first bit is set. Blank is 0.
fn number(field: &[u8]) -> Result<u64, &'static str> {
    const BAD: &str = "a header's number is malformed";
    if field[0] & 0x80 != 0 {
        let (high, low) = field.split_at(field.len() - 8.min(field.len() - 1));
        if high[0] != 0x80 || high[1..].iter().any(|b| *b != 0) {
            return Err(BAD);
        }
        return Ok(low.iter().fold(0, |n, b| n << 8 | u64::from(*b)));
    }
    let digits = field.split(|b| *b == 0).next().unwrap_or_default().trim_ascii();
    digits.iter().try_fold(0u64, |n, b| match b {
        b'0'..=b'7' => n.checked_mul(8).map(|n| n + u64::from(b - b'0')).ok_or(BAD),
        _ => Err(BAD),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256_and_never_something_else() {
        assert_eq!(number(b"0000644\0"), Ok(0o644));
        assert_eq!(number(b"   644 \0"), Ok(0o644));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0"), Ok(0));
        assert_eq!(number(b"\x80\0\0\0\0\0\0\0\0\0\x01\0"), Ok(256));
        assert_eq!(number(b"\x80\0\0\0\0\0\x01\0"), Ok(256));
        for bad in
            [&b"9\0\0\0\0\0\0\0"[..], b"-1\0\0\0\0\0\0", b"\xff\xff\xff\xff\xff\xff\xff\xff", b"\x80\x01\0\0\0\0\0\0\0\0\0\0"]
        {
            assert!(number(bad).is_err(), "{bad:?}");
        }
        assert!(number(b"7777777777777777777777777").is_err());
    }
}
