//! Two-word names for instances that nobody named: an adjective and an animal, both plain words.

use lxhost_model::name::{InstanceName, ProjectName};

use crate::ports::State;
use crate::{Error, Result};

const ADJECTIVES: &[&str] = &[
    "able", "agile", "amber", "bold", "brave", "brisk", "calm", "clear", "clever", "cosmic", "crisp", "daring", "eager", "early",
    "fair", "fancy", "fast", "fine", "fond", "free", "fresh", "gentle", "glad", "golden", "good", "grand", "happy", "hardy",
    "honest", "humble", "ideal", "jolly", "keen", "kind", "lively", "loyal", "lucky", "mellow", "merry", "mighty", "modest",
    "neat", "nimble", "noble", "patient", "polite", "proud", "quick", "quiet", "rapid", "ready", "robust", "sharp", "silent",
    "smart", "smooth", "solid", "steady", "sunny", "swift", "tidy", "trusty", "vivid", "warm", "wise", "witty", "young", "zesty",
];
const ANIMALS: &[&str] = &[
    "ant", "badger", "bat", "bear", "beaver", "bee", "bison", "bobcat", "camel", "cat", "colt", "condor", "crab", "crane",
    "crow", "deer", "dingo", "dove", "duck", "eagle", "elk", "falcon", "ferret", "finch", "fox", "frog", "gecko", "goat",
    "goose", "hare", "hawk", "hen", "heron", "horse", "ibex", "jay", "kite", "koala", "lark", "lemur", "lion", "llama", "lynx",
    "mole", "moose", "moth", "mouse", "mule", "newt", "orca", "otter", "owl", "ox", "panda", "perch", "pony", "puma", "quail",
    "rabbit", "raven", "robin", "salmon", "seal", "shark", "sheep", "skunk", "sloth", "snail", "stork", "swan", "tiger", "toad",
    "trout", "turtle", "walrus", "wasp", "weasel", "whale", "wolf", "wombat", "wren", "yak", "zebra",
];

/// A free two-word name, chosen by `random`; after a few collisions with a number behind it.
pub(crate) fn generate(state: &State, project: &ProjectName, random: [u8; 16]) -> Result<InstanceName> {
    for (attempt, pair) in random.chunks_exact(2).enumerate() {
        let (a, b) = (usize::from(pair[0]), usize::from(pair[1]));
        let words = format!("{}-{}", ADJECTIVES[a % ADJECTIVES.len()], ANIMALS[b % ANIMALS.len()]);
        let words = if attempt < 4 { words } else { format!("{words}-{}", u16::from_be_bytes([pair[0], pair[1]])) };
        let name: InstanceName = words.parse()?;
        if state.instance(project, &name).is_none() {
            return Ok(name);
        }
    }
    Err(Error::failed("no free name was found; give one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_words_is_a_valid_name() {
        for i in 0..=255u8 {
            assert!(generate(&State::default(), &ProjectName::default(), [i; 16]).is_ok());
        }
    }
}
