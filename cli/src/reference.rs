//! `REMOTE:NAME` words of LXD's grammar.

use crate::failure::Failure;
use lxhost_model::Kind;
use lxhost_model::name::quoted;

/// The name within this host; `local:` before it is allowed, any other remote is not.
pub(crate) fn local(word: &str) -> Result<&str, Failure> {
    match word.split_once(':') {
        None => Ok(word),
        Some(("local" | "", name)) => Ok(name),
        Some((remote, _)) => Err(no_remote(remote)),
    }
}

/// Takes a word such as `debian:` off the front of filters; `local:` is taken off and forgotten.
pub(crate) fn split_remote(filters: &[String]) -> (Option<&str>, &[String]) {
    match filters.split_first() {
        Some((first, rest)) => match first.strip_suffix(':') {
            Some("local" | "") => (None, rest),
            Some(remote) => (Some(remote), rest),
            None => (None, filters),
        },
        None => (None, filters),
    }
}

/// Image of a create or copy call as the daemon takes it. A second colon is a typo of a dot, as
/// in `ubuntu:16:04`.
pub(crate) fn image(word: &str) -> Result<&str, Failure> {
    let name = word.strip_prefix("local:").unwrap_or(word);
    match name.split_once(':') {
        Some((remote, rest)) if rest.contains(':') => Err(Failure::of(Kind::NoSuchImage, format!("no image {}", quoted(word)))
            .hint(format!("did you mean {remote}:{}?", rest.replace(':', ".")))),
        _ => Ok(name),
    }
}

/// The remote does not exist.
pub(crate) fn no_remote(remote: &str) -> Failure {
    Failure::of(Kind::Unsupported, format!("no remote {}: this version knows this host alone", quoted(remote)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_host_has_instances() {
        assert_eq!(local("c1").unwrap(), "c1");
        assert_eq!(local("local:c1").unwrap(), "c1");
        assert!(local("serveur2:c1").unwrap_err().message.contains("serveur2"));
    }

    #[test]
    fn a_colon_typed_for_a_dot_is_answered_with_the_right_image() {
        let failure = image("ubuntu:16:04").unwrap_err();
        assert_eq!(failure.hint.unwrap(), "did you mean ubuntu:16.04?");
        assert_eq!(image("images:alpine/3.5").unwrap(), "images:alpine/3.5");
        assert_eq!(image("local:mine").unwrap(), "mine");
    }

    #[test]
    fn the_remote_of_a_list_is_its_first_word() {
        let words: Vec<String> = ["debian:", "13"].map(String::from).into();
        assert_eq!(split_remote(&words), (Some("debian"), &words[1..]));
        let words: Vec<String> = ["local:".to_owned()].into();
        assert_eq!(split_remote(&words), (None, &words[1..]));
        let words: Vec<String> = ["web".to_owned()].into();
        assert_eq!(split_remote(&words), (None, &words[..]));
    }
}
