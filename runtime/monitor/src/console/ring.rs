//! The last 64 KiB that a console said, with positions that never wrap.

/// How much is kept.
pub(crate) const SIZE: usize = 64 * 1024;

/// Bytes by their position since the beginning.
#[derive(Debug)]
pub(crate) struct Ring {
    bytes: Vec<u8>,
    end: u64,
}

impl Ring {
    /// An empty ring. Its pages cost nothing until they are written.
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; SIZE], end: 0 }
    }

    /// Appends, forgetting what is oldest.
    pub(crate) fn push(&mut self, more: &[u8]) {
        for byte in more {
            let at = (self.end % SIZE as u64) as usize;
            if let Some(place) = self.bytes.get_mut(at) {
                *place = *byte;
            }
            self.end += 1;
        }
    }

    /// Position of the oldest byte.
    pub(crate) fn start(&self) -> u64 {
        self.end.saturating_sub(SIZE as u64)
    }

    /// Position behind the newest byte.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Bytes from a position on, as many as lie together; empty at the end. A position that was overtaken gives the
    /// oldest bytes; the first of the pair says where the bytes begin.
    pub(crate) fn from(&self, position: u64) -> (u64, &[u8]) {
        let position = position.clamp(self.start(), self.end);
        let at = (position % SIZE as u64) as usize;
        let length = ((self.end - position) as usize).min(SIZE - at);
        (position, self.bytes.get(at..at + length).unwrap_or_default())
    }

    /// Everything, in at most two parts.
    pub(crate) fn parts(&self) -> [&[u8]; 2] {
        let (start, first) = self.from(self.start());
        let (_, second) = self.from(start + first.len() as u64);
        [first, second]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(ring: &Ring) -> Vec<u8> {
        ring.parts().concat()
    }

    #[test]
    fn what_was_said_is_kept_in_order() {
        let mut ring = Ring::new();
        ring.push(b"one ");
        ring.push(b"two");
        assert_eq!(text(&ring), b"one two");
        assert_eq!(ring.from(4), (4, b"two".as_slice()));
        assert_eq!(ring.from(7), (7, b"".as_slice()));
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut ring = Ring::new();
        for n in 0..30_000u32 {
            ring.push(format!("{n:07}\n").as_bytes());
        }
        let kept = text(&ring);
        assert_eq!(kept.len(), SIZE);
        assert!(kept.ends_with(b"0029999\n"));
        assert!(kept.starts_with(format!("{:07}\n", 30_000 - SIZE / 8).as_bytes()));
    }

    #[test]
    fn a_reader_that_was_overtaken_goes_on_with_the_oldest() {
        let mut ring = Ring::new();
        ring.push(&vec![b'x'; SIZE + 10]);
        let (position, bytes) = ring.from(0);
        assert_eq!(position, 10);
        assert_eq!(bytes.len(), SIZE - 10, "the part up to the end of the buffer");
    }

    #[test]
    fn a_position_of_the_future_reads_nothing() {
        let ring = Ring::new();
        assert_eq!(ring.from(99), (0, b"".as_slice()));
    }
}
