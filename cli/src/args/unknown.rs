//! What is said about a command line that does not parse: one line, and the line that would do.
//!
//! clap finds the nearest verb by spelling; here are the words that LXD, LXC and others use for
//! something we call differently, and the verbs of LXD that this version lacks.

use crate::failure::Failure;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use lxhost_model::Kind;

/// Words of other tools and typos, and our verb. A part in `…` is for the reader to fill in.
const OTHER_WORDS: &[(&str, &str)] = &[
    ("admin recover", "recover"),
    ("attach", "exec"),
    ("cancel", "operation delete"),
    ("check", "doctor"),
    ("checkconfig", "doctor"),
    ("destroy", "delete"),
    ("enter", "shell"),
    ("images", "image"),
    ("instances", "list"),
    ("kill", "stop --force"),
    ("login", "shell"),
    ("logs", "console --show-log"),
    ("network ls-leases", "network list-leases"),
    ("networks", "network"),
    ("new", "create"),
    ("operations", "operation"),
    ("poweroff", "stop"),
    ("profiles", "profile"),
    ("ps", "list"),
    ("reboot", "restart"),
    ("remove", "delete"),
    ("run", "launch"),
    ("sh", "shell"),
    ("show", "info"),
    ("status", "info"),
    ("storages", "storage"),
];

/// Verbs of LXD and Incus that this version does not have.
const NOT_YET: &[&str] = &[
    "alias",
    "cluster",
    "file",
    "project",
    "query",
    "rebuild",
    "remote",
    "top",
    "warning",
    "config metadata",
    "config template",
    "config trust",
    "image edit",
    "image refresh",
    "image get-property",
    "image set-property",
    "image unset-property",
    "network load-balancer info",
    "network peer",
    "network zone",
    "profile rename",
    "storage bucket",
    "storage edit",
    "storage set",
    "storage unset",
];

/// The failure behind a clap error; `words` are the arguments without the program's name.
pub(crate) fn explain(error: &clap::Error, words: &[String]) -> Failure {
    let text = error.render().to_string();
    let first = text.lines().next().unwrap_or_default();
    let message = first.strip_prefix("error: ").unwrap_or(first).trim_end_matches(':').to_owned();
    if error.kind() == ErrorKind::InvalidSubcommand
        && let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand)
    {
        return unknown_verb(word, suggestion(error), words);
    }
    let missing: Vec<&str> = text.lines().skip(1).take_while(|l| l.starts_with("  ")).map(str::trim).collect();
    let message = if missing.is_empty() { message } else { format!("{message}: {}", missing.join(" ")) };
    let tip = text.lines().find_map(|line| line.trim().strip_prefix("tip: "));
    let verb = verb_of(words);
    let failure = Failure::usage(message);
    match tip {
        Some(tip) => failure.hint(tip),
        None => failure.hint(format!("lxctl {verb}{}--help shows what it takes", if verb.is_empty() { "" } else { " " })),
    }
}

fn suggestion(error: &clap::Error) -> Option<String> {
    match error.get(ContextKind::SuggestedSubcommand)? {
        ContextValue::String(word) => Some(word.clone()),
        ContextValue::Strings(words) => words.last().cloned(),
        _ => None,
    }
}

fn unknown_verb(word: &str, suggested: Option<String>, words: &[String]) -> Failure {
    let at = words.iter().position(|w| w == word).unwrap_or(0);
    let before: Vec<&str> = words[..at].iter().map(String::as_str).filter(|w| !w.starts_with('-')).collect();
    let path = if before.is_empty() { word.to_owned() } else { format!("{} {word}", before.join(" ")) };
    let shown = lxhost_model::name::quoted(&path);
    if NOT_YET.contains(&path.as_str()) {
        return Failure::of(Kind::Unsupported, format!("this version of lxctl has no {shown}"));
    }
    let ours = OTHER_WORDS.iter().find(|(theirs, _)| *theirs == path).map(|(_, ours)| (*ours).to_owned());
    let ours = ours.or_else(|| suggested.map(|near| [&before[..], &[near.as_str()]].concat().join(" ")));
    let ours = ours.or_else(|| {
        let known = OTHER_WORDS.iter().map(|(theirs, _)| *theirs);
        let near = lxhost_model::config::nearest(&path, known)?;
        OTHER_WORDS.iter().find(|(theirs, _)| *theirs == near).map(|(_, ours)| (*ours).to_owned())
    });
    let failure = Failure::usage(format!("lxctl has no verb {shown}"));
    match ours {
        Some(ours) => failure.hint(format!("did you mean: lxctl {}", corrected(&ours, &words[at + 1..]))),
        None => failure.hint("lxctl --help lists the verbs"),
    }
}

/// The command line with `verb` in the place of the wrong one, quoted where a shell needs it.
fn corrected(verb: &str, rest: &[String]) -> String {
    let plain = |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&b));
    let mut line = verb.to_owned();
    for word in rest {
        line.push(' ');
        if plain(word) {
            line.push_str(word);
        } else {
            line.push_str(&format!("'{}'", word.replace('\'', r"'\''")));
        }
    }
    line
}

/// The verb that `words` begin with, for "lxctl VERB --help".
fn verb_of(words: &[String]) -> String {
    use clap::CommandFactory;
    let mut command = super::Cli::command();
    command.build();
    let mut verb: Vec<String> = Vec::new();
    for word in words.iter().filter(|w| !w.starts_with('-')) {
        let Some(next) = command.find_subcommand(word).cloned() else { break };
        verb.push(next.get_name().to_owned());
        command = next;
    }
    verb.join(" ")
}
