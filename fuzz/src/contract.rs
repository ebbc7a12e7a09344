//! Frames between daemon and monitor. A container that has taken its monitor over writes what it likes to the
//! daemon, and a program that got hold of the socket to the monitor.

use lxhost_contract::{Head, MAX_MESSAGE, Message, Record};

/// A message is refused, or says the same when it is written again.
pub fn message(data: &[u8]) {
    match Message::from_bytes(data) {
        Err(error) => crate::is_a_line(&error.to_string()),
        Ok(message) => {
            let again = message.to_bytes();
            assert!(again.len() <= data.len().min(MAX_MESSAGE), "{} bytes grew to {}", data.len(), again.len());
            assert_eq!(Message::from_bytes(&again).as_ref(), Ok(&message));
        }
    }
    if let Ok((head, body)) = Head::split(data)
        && let Ok(record) = Record::parse(body)
    {
        let sum: usize = (0..64).flat_map(|tag| record.all(tag)).map(<[u8]>::len).sum();
        assert!(sum <= body.len(), "{head:?}");
    }
}

/// The record of an end is read as far as it goes; a session takes at least its length and head.
pub fn exit_record(data: &[u8]) {
    let (_, sessions) = lxhost_host::hostile::exit_record(data);
    assert!(sessions * 12 <= data.len());
}
