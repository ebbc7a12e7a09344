//! Copies between the user's terminal and a pty or console of an instance, on a thread of its own.
//!
//! 8-bit clean, and neither direction waits for the other: the far end is non-blocking, ours are
//! read only when poll says so. Knows nothing of D-Bus.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io::{PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Most input kept while the far end does not read.
const MOST_PENDING: usize = 64 * 1024;
/// After the command's end: silence that means all of its output came, and the longest wait for it.
const SILENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 30_000_000 };
const LONGEST_DRAIN: Duration = Duration::from_millis(500);
const CTRL_A: u8 = 1;
const CTRL_D: u8 = 4;

/// Why copying ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The far end is closed.
    Hangup,
    /// The user typed the escape.
    Left,
    /// Our own terminal is gone.
    Orphaned,
    /// [`Pump::finish`] was called and what was left is copied.
    Drained,
}

/// What standard input may say to the pump itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escape {
    /// Nothing: every byte goes through.
    None,
    /// Ctrl-a q leaves, Ctrl-a Ctrl-a and Ctrl-a a send Ctrl-a.
    CtrlA,
}

/// Copying under way.
pub(crate) struct Pump {
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
    ended: oneshot::Receiver<End>,
}

impl Pump {
    /// Starts copying between standard input and output and `far`.
    pub(crate) fn start(far: OwnedFd, escape: Escape) -> std::io::Result<Pump> {
        rustix::io::ioctl_fionbio(&far, true)?;
        let (stopped, stop) = std::io::pipe()?;
        let (tell, ended) = oneshot::channel();
        let mut copy = Copying::new(far, stopped, escape);
        let thread = std::thread::Builder::new().name("pump".into()).spawn(move || {
            let end = copy.run(std::io::stdin().as_fd(), std::io::stdout().as_fd());
            // The receiver may be gone: then nobody wants to know.
            let _ = tell.send(end);
        })?;
        Ok(Pump { stop: Some(stop), thread: Some(thread), ended })
    }

    /// Waits until copying ends by itself.
    pub(crate) async fn ended(&mut self) -> End {
        (&mut self.ended).await.unwrap_or(End::Hangup)
    }

    /// Copies what is left of the output and ends.
    pub(crate) fn finish(mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Copying {
    far: OwnedFd,
    stopped: PipeReader,
    escape: Escape,
    armed: bool,
    pending: Vec<u8>,
    last: u8,
    input: bool,
    draining: Option<Instant>,
}

impl Copying {
    fn new(far: OwnedFd, stopped: PipeReader, escape: Escape) -> Self {
        Copying { far, stopped, escape, armed: false, pending: Vec::new(), last: b'\n', input: true, draining: None }
    }

    fn run(&mut self, stdin: BorrowedFd<'_>, stdout: BorrowedFd<'_>) -> End {
        loop {
            if self.draining.is_some_and(|since| since.elapsed() > LONGEST_DRAIN) {
                return End::Drained;
            }
            let (far, near, stop) = match self.poll(stdin) {
                Ok(Some(events)) => events,
                Ok(None) => return End::Drained,
                Err(_) => return End::Orphaned,
            };
            if !stop.is_empty() {
                self.draining = Some(Instant::now());
                self.input = false;
            }
            if far.contains(PollFlags::OUT) {
                self.send();
            }
            if far.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR)
                && let Some(end) = self.receive(stdout)
            {
                return end;
            }
            if !near.is_empty()
                && let Some(end) = self.take(stdin)
            {
                return end;
            }
        }
    }

    /// Waits for something to do; `None` when draining found silence.
    fn poll(&self, stdin: BorrowedFd<'_>) -> Result<Option<(PollFlags, PollFlags, PollFlags)>, Errno> {
        let mut wanted = PollFlags::IN;
        if !self.pending.is_empty() {
            wanted |= PollFlags::OUT;
        }
        let near = if self.input && self.pending.len() < MOST_PENDING { PollFlags::IN } else { PollFlags::empty() };
        let mut fds = vec![PollFd::new(&self.far, wanted)];
        if self.draining.is_none() {
            fds.push(PollFd::new(&self.stopped, PollFlags::IN));
        }
        // A closed or paused input is left out: its hang-up would wake us for ever.
        if !near.is_empty() {
            fds.push(PollFd::from_borrowed_fd(stdin, near));
        }
        let limit = self.draining.map(|_| SILENCE);
        let ready = loop {
            match poll(&mut fds, limit.as_ref()) {
                Err(Errno::INTR) => (),
                other => break other?,
            }
        };
        if ready == 0 {
            return Ok(None);
        }
        let stop = if self.draining.is_none() { fds[1].revents() } else { PollFlags::empty() };
        let near = if near.is_empty() { near } else { fds[fds.len() - 1].revents() };
        Ok(Some((fds[0].revents(), near, stop)))
    }

    /// From the instance to standard output.
    fn receive(&mut self, stdout: BorrowedFd<'_>) -> Option<End> {
        let mut buffer = [0; 32 * 1024];
        match rustix::io::read(&self.far, &mut buffer) {
            Ok(0) => Some(End::Hangup),
            Ok(n) => write_all(stdout, &buffer[..n]).err().map(|_| End::Orphaned),
            Err(Errno::AGAIN | Errno::INTR) => None,
            // EIO: the last process that had the pty open is gone.
            Err(_) => Some(End::Hangup),
        }
    }

    /// From what was typed to the instance.
    fn send(&mut self) {
        match rustix::io::write(&self.far, &self.pending) {
            Ok(n) => drop(self.pending.drain(..n)),
            Err(Errno::AGAIN | Errno::INTR) => (),
            // Nobody reads any more; the hang-up is seen by the next read.
            Err(_) => self.pending.clear(),
        }
    }

    /// From standard input to what is pending.
    fn take(&mut self, stdin: BorrowedFd<'_>) -> Option<End> {
        let mut buffer = [0; 16 * 1024];
        match rustix::io::read(stdin, &mut buffer) {
            Ok(0) | Err(Errno::IO) if rustix::termios::isatty(stdin) => return Some(End::Orphaned),
            Ok(0) => self.end_of_input(),
            Ok(n) => {
                if self.typed(&buffer[..n]) {
                    // What was typed before the escape is still meant for the console.
                    self.send();
                    return Some(End::Left);
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => (),
            Err(_) => self.end_of_input(),
        }
        None
    }

    /// A terminal has no half-close: its end-of-file character says the same, twice when a line is open.
    fn end_of_input(&mut self) {
        self.input = false;
        if self.escape == Escape::None {
            let times = if self.last == b'\n' { 1 } else { 2 };
            self.pending.extend(std::iter::repeat_n(CTRL_D, times));
        }
    }

    /// Takes typed bytes; true when they say to leave.
    fn typed(&mut self, bytes: &[u8]) -> bool {
        for &byte in bytes {
            if self.escape == Escape::None {
                self.pending.push(byte);
            } else if self.armed {
                self.armed = false;
                match byte {
                    b'q' => return true,
                    b'a' | CTRL_A => self.pending.push(CTRL_A),
                    other => self.pending.extend([CTRL_A, other]),
                }
            } else if byte == CTRL_A {
                self.armed = true;
            } else {
                self.pending.push(byte);
            }
        }
        self.last = bytes.last().copied().unwrap_or(self.last);
        false
    }
}

fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::INTR) => (),
            Err(Errno::AGAIN) => drop(poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::OUT)], None)),
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    /// Runs the pump between `input` and a far end; gives why it ended and what came out.
    fn pump(input: &[u8], escape: Escape, far: impl FnOnce(UnixStream) + Send + 'static) -> (End, Vec<u8>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let (stdin, mut typing) = std::io::pipe().unwrap();
        let (mut output, stdout) = std::io::pipe().unwrap();
        let (stopped, _stop) = std::io::pipe().unwrap();
        let guest = std::thread::spawn(move || far(theirs));
        let input = input.to_vec();
        let typist = std::thread::spawn(move || drop(typing.write_all(&input)));
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            output.read_to_end(&mut all).unwrap();
            all
        });
        let end = Copying::new(ours.into(), stopped, escape).run(stdin.as_fd(), stdout.as_fd());
        drop((stdin, stdout));
        typist.join().unwrap();
        guest.join().unwrap();
        (end, reader.join().unwrap())
    }

    #[test]
    fn every_byte_goes_through_both_ways() {
        let every: Vec<u8> = (0..=255).cycle().take(300_000).collect();
        let expected = every.len();
        let (end, output) = pump(&every, Escape::None, move |mut far| {
            let mut got = vec![0; expected];
            far.read_exact(&mut got).unwrap();
            far.write_all(&got).unwrap();
        });
        assert_eq!(end, End::Hangup);
        assert!(output == every);
    }

    #[test]
    fn the_end_of_input_is_the_terminals_end_of_file() {
        for (input, expected) in [(&b"a\n"[..], &b"a\n\x04"[..]), (b"a", b"a\x04\x04"), (b"", b"\x04")] {
            let (_, output) = pump(input, Escape::None, move |mut far| {
                let mut got = vec![0; expected.len()];
                far.read_exact(&mut got).unwrap();
                far.write_all(&got).unwrap();
            });
            assert_eq!(output, expected);
        }
    }

    #[test]
    fn the_escape_leaves_and_can_be_typed() {
        let (end, output) = pump(b"x\x01\x01y\x01bz\x01q", Escape::CtrlA, |mut far| {
            let mut got = [0; 6];
            far.read_exact(&mut got).unwrap();
            assert_eq!(&got, b"x\x01y\x01bz");
        });
        assert_eq!(end, End::Left);
        assert!(output.is_empty());
        let mut copying = Copying::new(std::io::pipe().unwrap().0.into(), std::io::pipe().unwrap().0, Escape::CtrlA);
        assert!(!copying.typed(b"x\x01\x01y\x01bz\x01"));
        assert_eq!(copying.pending, b"x\x01y\x01bz");
        assert!(copying.typed(b"q"));
    }

    #[test]
    fn a_far_end_that_does_not_read_does_not_stop_the_output() {
        let (end, output) = pump(&vec![b'x'; 1 << 20], Escape::None, |mut far| {
            far.write_all(&vec![b'y'; 1 << 20]).unwrap();
        });
        assert_eq!(end, End::Hangup);
        assert_eq!(output.len(), 1 << 20);
    }
}
