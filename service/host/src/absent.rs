//! Services of the bus that a host need not have: an error that says so is none of theirs. Called by `resolved` and
//! `firewalld`.

use zbus::fdo;

/// Whether nobody is there to be told.
pub(crate) fn is_absent(error: &zbus::Error) -> bool {
    const ABSENT: [&str; 2] = ["org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner"];
    match error {
        zbus::Error::MethodError(name, ..) => ABSENT.contains(&name.as_str()),
        zbus::Error::FDO(error) => matches!(**error, fdo::Error::ServiceUnknown(_) | fdo::Error::NameHasNoOwner(_)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_the_service_is_no_error() {
        assert!(is_absent(&zbus::Error::from(fdo::Error::ServiceUnknown("x".into()))));
        assert!(!is_absent(&zbus::Error::Failure("x".into())));
    }
}
