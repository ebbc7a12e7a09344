//! The wire between a test and its full host: frames over one serial port, each with the number of what
//! it belongs to, so that many commands run at a time and a late frame is never taken for another's.
//! Depends on nothing. Called by the agent inside and by `host::full` outside.

use std::io::{self, Read, Write};

/// The name of the serial port.
pub const PORT: &str = "lab";
/// Where the agent listens for who wants the mirror.
pub const MIRROR_SOCKET: &str = "/run/lab-mirror.sock";
/// The most bytes of one frame's content; more is no frame of ours.
const LONGEST: usize = 1 << 20;
/// The most bytes of a stream that go in one frame.
pub const CHUNK: usize = 1 << 16;

/// What a frame is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// To the host: are you there? From it: I am.
    Hello = 1,
    /// To the host: run this; the words, each ended by a NUL.
    Start,
    /// To the host: bytes of standard input; none are its end.
    Input,
    /// To the host: kill its process group.
    Kill,
    /// From the host: bytes of standard output; none are its end.
    Output,
    /// From the host: bytes of standard error; none are its end.
    Error,
    /// From the host: it ended; four bytes of wait status, least first.
    Ended,
    /// From the host: somebody connects to the mirror.
    Connect,
    /// Either way: bytes of a connection; none are its end.
    Data,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        use Kind::*;
        [Hello, Start, Input, Kill, Output, Error, Ended, Connect, Data].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it is about.
    pub kind: Kind,
    /// Which command or connection it belongs to.
    pub id: u32,
    /// Its content.
    pub content: Vec<u8>,
}

impl Frame {
    /// A frame.
    #[must_use]
    pub fn new(kind: Kind, id: u32, content: &[u8]) -> Self {
        Self { kind, id, content: content.to_vec() }
    }

    /// Writes it whole, in one piece.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let length = u32::try_from(self.content.len()).map_err(io::Error::other)?;
        let mut bytes = Vec::with_capacity(9 + self.content.len());
        bytes.push(self.kind as u8);
        bytes.extend_from_slice(&self.id.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&self.content);
        to.write_all(&bytes)
    }

    /// Reads the next one.
    ///
    /// # Errors
    /// What the reader says, and when the bytes are no frame.
    pub fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut head = [0; 9];
        from.read_exact(&mut head)?;
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let length = usize::try_from(number(5)).map_err(io::Error::other)?;
        let kind = Kind::of(head[0]).filter(|_| length <= LONGEST);
        let kind = kind.ok_or_else(|| io::Error::other(format!("no frame begins with {head:?}")))?;
        let mut content = vec![0; length];
        from.read_exact(&mut content)?;
        Ok(Self { kind, id: number(1), content })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_frame_is_read_as_it_was_written() {
        let frames =
            [Frame::new(Kind::Start, 7, b"true\0"), Frame::new(Kind::Data, u32::MAX, b""), Frame::new(Kind::Hello, 0, b"x")];
        let mut wire = Vec::new();
        for frame in &frames {
            frame.write(&mut wire).unwrap();
        }
        let mut wire = wire.as_slice();
        for frame in frames {
            assert_eq!(Frame::read(&mut wire).unwrap(), frame);
        }
        assert!(Frame::read(&mut wire).is_err());
    }

    #[test]
    fn what_is_no_frame_is_refused_before_it_is_read() {
        assert!(Frame::read(&mut [99, 0, 0, 0, 0, 0, 0, 0, 0].as_slice()).is_err());
        assert!(Frame::read(&mut [1, 0, 0, 0, 0, 255, 255, 255, 255].as_slice()).is_err());
    }
}
