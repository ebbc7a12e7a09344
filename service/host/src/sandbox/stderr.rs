//! What a sandboxed program says on standard error: lines of progress, and its last words. The program
//! is not trusted: lines are capped and cleaned. Called by the sandbox.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

/// Bytes of the last words.
const LAST: usize = 4096;
/// Longest line that counts as progress.
const LINE: usize = 1024;

/// The daemon's end of the pipe.
pub(crate) struct Listener {
    /// Whether every line counts as progress, and as last words too.
    all: bool,
    pipe: Option<pipe::Receiver>,
    line: Vec<u8>,
    ready: VecDeque<String>,
    last: VecDeque<u8>,
}

impl Listener {
    /// A listener, and the end for the program.
    pub(crate) fn new(all: bool) -> io::Result<(Listener, OwnedFd)> {
        let (ours, theirs) = io::pipe()?;
        let pipe = pipe::Receiver::from_owned_fd(ours.into())?;
        Ok((Listener { all, pipe: Some(pipe), line: Vec::new(), ready: VecDeque::new(), last: VecDeque::new() }, theirs.into()))
    }

    /// Lines of progress and last words of a program that said all of this.
    pub(crate) fn heard(all: bool, bytes: &[u8]) -> (Vec<String>, String) {
        let (line, ready, last) = (Vec::new(), VecDeque::new(), VecDeque::new());
        let mut listener = Listener { all, pipe: None, line, ready, last };
        listener.take(bytes);
        listener.end_line();
        (listener.ready.drain(..).collect(), listener.last_words())
    }

    /// The next line of progress, without its first word; `None` when the program has closed the pipe.
    pub(crate) async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(line);
            }
            let mut buffer = [0; 4096];
            match self.pipe.as_mut()?.read(&mut buffer).await {
                Ok(n) if n > 0 => self.take(&buffer[..n]),
                _ => {
                    self.pipe = None;
                    self.end_line();
                }
            }
        }
    }

    /// What is left once the program has ended. Its end of the pipe may still be open elsewhere: what
    /// is there is read, and nothing waited for.
    pub(crate) fn rest(&mut self) -> impl Iterator<Item = String> {
        let mut buffer = [0; 4096];
        // Asks the kernel: what the runtime knows of the pipe may be older than the last words.
        while let Some(Ok(n @ 1..)) = self.pipe.as_ref().map(|pipe| rustix::io::read(pipe, &mut buffer)) {
            self.take(&buffer[..n]);
        }
        self.pipe = None;
        self.end_line();
        self.ready.drain(..)
    }

    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' {
                self.end_line();
            } else if self.line.len() < LAST {
                self.line.push(*byte);
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let text: String = String::from_utf8_lossy(&line).chars().filter(|c| !c.is_control()).collect();
        if self.all && text.len() <= LINE {
            self.ready.push_back(text.clone());
        }
        match text.strip_prefix("progress ").filter(|_| !self.all) {
            Some(progress) if text.len() <= LINE => self.ready.push_back(progress.to_owned()),
            _ if text.is_empty() => {}
            _ => {
                self.last.extend(text.as_bytes());
                self.last.push_back(b'\n');
                let over = self.last.len().saturating_sub(LAST);
                self.last.drain(..over);
            }
        }
    }

    /// The last lines that were no progress.
    pub(crate) fn last_words(mut self) -> String {
        String::from_utf8_lossy(self.last.make_contiguous()).trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[tokio::test]
    async fn progress_is_told_apart_and_last_words_are_clean_and_short() {
        let (mut listener, theirs) = Listener::new(false).unwrap();
        let mut theirs = std::fs::File::from(theirs);
        let writer = std::thread::spawn(move || {
            theirs.write_all(b"progress 0.5\nfirst\n\x1b[31mred\nprogress 1\n").unwrap();
            theirs.write_all(&[b'x'; 10_000]).unwrap();
            theirs.write_all(b"\nthe end").unwrap();
        });
        assert_eq!(listener.next().await.as_deref(), Some("0.5"));
        assert_eq!(listener.next().await.as_deref(), Some("1"));
        writer.join().unwrap();
        assert_eq!(listener.rest().count(), 0);
        let words = listener.last_words();
        assert!(words.len() <= LAST && words.ends_with("the end") && !words.contains('\x1b'), "{words}");
    }
}
