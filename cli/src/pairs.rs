//! KEY=VALUE words of the command line.

use crate::failure::Failure;
use lxhost_dbus::Config;
use std::io::Read;
use std::str::FromStr;

/// One KEY=VALUE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) key: String,
    pub(crate) value: String,
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok(Pair { key: key.to_owned(), value: value.to_owned() }),
            _ => Err("expected KEY=VALUE".to_owned()),
        }
    }
}

/// The pairs as a dictionary; a key named twice keeps the last value.
pub(crate) fn config<'a>(pairs: impl IntoIterator<Item = &'a Pair>) -> Config {
    pairs.into_iter().map(|pair| (pair.key.clone(), pair.value.clone())).collect()
}

/// `KEY=VALUE…` or, as LXD also takes it, `KEY VALUE`. A value of `-` is read from `stdin`.
pub(crate) fn from_words(words: &[String], stdin: &mut dyn Read) -> Result<Config, Failure> {
    let mut config = match words {
        [key, value] if !key.contains('=') => Config::from([(key.clone(), value.clone())]),
        _ => {
            let mut config = Config::new();
            for word in words {
                let pair =
                    Pair::from_str(word).map_err(|why| Failure::usage(format!("{}: {why}", lxhost_model::name::quoted(word))))?;
                config.insert(pair.key, pair.value);
            }
            config
        }
    };
    for (key, value) in &mut config {
        if value == "-" {
            *value = read_text(stdin).map_err(|e| e.context(key))?;
        }
    }
    Ok(config)
}

/// All of `input` as text, up to what a configuration value or definition may be.
pub(crate) fn read_text(input: &mut dyn Read) -> Result<String, Failure> {
    const MOST: u64 = 1024 * 1024;
    let mut bytes = Vec::new();
    input.take(MOST + 1).read_to_end(&mut bytes).map_err(|e| Failure::io("read standard input", &e))?;
    if bytes.len() as u64 > MOST {
        return Err(Failure::usage("standard input: more than 1 MiB of text"));
    }
    String::from_utf8(bytes).map_err(|_| Failure::usage("standard input is not UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|w| (*w).to_owned()).collect()
    }

    #[test]
    fn both_ways_of_lxd_to_set_a_key_are_taken() {
        let one = from_words(&words(&["limits.cpu", "2"]), &mut std::io::empty()).unwrap();
        let other = from_words(&words(&["limits.cpu=2"]), &mut std::io::empty()).unwrap();
        assert_eq!(one, other);
        let two = from_words(&words(&["a=1", "b=x=y"]), &mut std::io::empty()).unwrap();
        assert_eq!(two["b"], "x=y");
    }

    #[test]
    fn a_dash_reads_the_value_from_standard_input() {
        let config = from_words(&words(&["user.user-data", "-"]), &mut "#cloud-config\n".as_bytes()).unwrap();
        assert_eq!(config["user.user-data"], "#cloud-config\n");
    }

    #[test]
    fn a_word_without_a_value_is_refused_by_name() {
        let failure = from_words(&words(&["a=1", "b", "c=2"]), &mut std::io::empty()).unwrap_err();
        assert_eq!(failure.code, 2);
        assert!(failure.message.contains("\"b\""), "{}", failure.message);
        assert!(from_words(&words(&["=1"]), &mut std::io::empty()).is_err());
    }

    #[test]
    fn binary_standard_input_is_refused() {
        assert!(from_words(&words(&["a", "-"]), &mut &[0xff, 0xfe][..]).is_err());
    }
}
