//! Mutations of an input in a fixed order: the same ones on every machine. Not a fuzzer, which `make fuzz` is: it
//! keeps what once was found from coming back in a neighbour's shape.

/// What means something to a parser.
const WORDS: &[&[u8]] = &[
    b"\0",
    b"\n",
    b"\r",
    b"\t",
    b" ",
    b"\x1b[31m",
    b"\xff",
    b"\xc3",
    b"/",
    b"..",
    b"/../",
    b"=",
    b":",
    b",",
    b"-",
    b"--",
    b"%",
    b"*",
    b"&a",
    b"*a",
    b"[",
    b"]",
    b"{",
    b"}",
    b"- ",
    b": ",
    b"!!",
    b"'",
    b"\"",
    b"|",
    b">",
    b"#",
    b"~",
    b"0",
    b"-1",
    b"4294967295",
    b"18446744073709551615",
    b"1e999",
    b"\xff\xff\xff\xff",
    b"\0\0\0\x80",
    b"true",
    b"null",
    b"root",
    b"ustar",
];

/// A source of mutations.
#[derive(Debug)]
pub struct Mutator(u64);

impl Mutator {
    /// One whose mutations depend on `seed` alone.
    pub fn new(seed: u64) -> Self {
        Mutator(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    fn below(&mut self, end: usize) -> usize {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }

    /// One of the corpus, changed in one to four places; at most `most` bytes.
    pub fn input(&mut self, corpus: &[Vec<u8>], most: usize) -> Vec<u8> {
        let mut bytes = corpus.get(self.below(corpus.len())).cloned().unwrap_or_default();
        for _ in 0..=self.below(4) {
            self.change(&mut bytes, corpus);
        }
        bytes.truncate(most);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.below(bytes.len() + 1);
        let end = at + self.below((bytes.len() - at).min(64) + 1);
        match self.below(8) {
            0 | 1 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            2 if at < bytes.len() => bytes[at] = self.below(256) as u8,
            3 => drop(bytes.drain(at..end)),
            4 => {
                let piece = bytes[at..end].repeat(1 + self.below(8));
                drop(bytes.splice(at..at, piece));
            }
            5 => {
                let other = &corpus[self.below(corpus.len())];
                let from = self.below(other.len() + 1);
                let to = from + self.below((other.len() - from).min(1024) + 1);
                drop(bytes.splice(at..end, other[from..to].iter().copied()));
            }
            _ => drop(bytes.splice(at..end, WORDS[self.below(WORDS.len())].iter().copied())),
        }
    }
}
