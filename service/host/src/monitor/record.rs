//! What a monitor leaves behind for a daemon that was away when its container ended.

use std::io::{self, Read};
use std::path::Path;

use lxhost_contract::{EXIT_NAME, Event, ExecExited, Exited, Message};

use super::MonitorError;

/// A thousand sessions' ends are 40 KB.
const MOST_BYTES: u64 = 1 << 20;

/// The end of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExitRecord {
    /// How the init ended; `None` when the file is damaged.
    pub exited: Option<Exited>,
    /// Sessions whose end nobody had acknowledged.
    pub sessions: Vec<ExecExited>,
}

/// Reads the record of `runtime_dir`; `None` when there is none.
///
/// # Errors
/// `Io`. A damaged record is read as far as it goes.
pub fn read_exit_record(runtime_dir: &Path) -> Result<Option<ExitRecord>, MonitorError> {
    let path = runtime_dir.join(EXIT_NAME);
    let file = match std::fs::File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(MonitorError::io(format!("read {}", path.display())))?,
    };
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes).map_err(MonitorError::io(format!("read {}", path.display())))?;
    Ok(Some(parse(&bytes)))
}

pub(crate) fn parse(mut rest: &[u8]) -> ExitRecord {
    let mut record = ExitRecord::default();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let Some((message, after)) = after.split_at_checked(u32::from_le_bytes(*length) as usize) else { break };
        match Message::from_bytes(message) {
            Ok(Message::Event(Event::Exited(exited))) => record.exited = Some(exited),
            Ok(Message::Event(Event::ExecExited(exited))) => record.sessions.push(exited),
            _ => {}
        }
        rest = after;
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use lxhost_contract::End;

    fn framed(event: Event) -> Vec<u8> {
        let bytes = event.to_bytes(0);
        [&(bytes.len() as u32).to_le_bytes()[..], &bytes].concat()
    }

    #[test]
    fn a_record_cut_short_is_read_as_far_as_it_goes() {
        let exited = Exited { end: End::PowerOff, ..Exited::default() };
        let mut bytes = framed(exited.clone().into());
        bytes.extend(framed(ExecExited { id: 7, code: 3, ..ExecExited::default() }.into()));
        let whole = parse(&bytes);
        assert_eq!(whole.exited, Some(exited.clone()));
        assert_eq!(whole.sessions.len(), 1);
        bytes.pop();
        assert_eq!(parse(&bytes), ExitRecord { exited: Some(exited), sessions: Vec::new() });
    }

    #[test]
    fn garbage_is_an_empty_record() {
        assert_eq!(parse(&[0xff; 64]), ExitRecord::default());
    }
}
