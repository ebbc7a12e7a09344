//! The user's terminal: its size, and raw mode that is always undone.

use crate::failure::Failure;
use rustix::termios::{OptionalActions, Termios, Winsize, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use std::os::fd::AsFd;

/// Whether standard input and standard output are both a terminal.
pub(crate) fn is_interactive() -> bool {
    isatty(std::io::stdin()) && isatty(std::io::stdout())
}

/// Size of the terminal behind standard output or input, if there is one.
pub(crate) fn size() -> Option<Winsize> {
    let known = |fd: std::os::fd::BorrowedFd<'_>| tcgetwinsize(fd).ok().filter(|size| size.ws_row > 0 && size.ws_col > 0);
    known(std::io::stdout().as_fd()).or_else(|| known(std::io::stdin().as_fd()))
}

/// Raw mode of standard input; ends with this value.
pub(crate) struct Raw(Termios);

impl Raw {
    /// Makes standard input raw when it is a terminal.
    pub(crate) fn enter() -> Result<Option<Raw>, Failure> {
        let stdin = std::io::stdin();
        if !isatty(&stdin) {
            return Ok(None);
        }
        let io = |e: rustix::io::Errno| Failure::io("make the terminal raw", &e.into());
        let saved = tcgetattr(&stdin).map_err(io)?;
        let mut raw = saved.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Drain, &raw).map_err(io)?;
        Ok(Some(Raw(saved)))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Drain, &self.0);
    }
}
