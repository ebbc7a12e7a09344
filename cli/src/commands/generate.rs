//! `generate`: man pages and completion scripts, for packages.

use crate::args::{Cli, Generate};
use crate::failure::Failure;
use clap::{Command, CommandFactory};
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};
use std::path::Path;

/// Writes what is asked for.
pub(crate) fn run(args: &Generate) -> Result<(), Failure> {
    match args {
        Generate::Man { directory } => man(directory),
        Generate::Completion { shell } => completion(shell),
    }
}

fn man(directory: &Path) -> Result<(), Failure> {
    let shown = directory.display();
    std::fs::create_dir_all(directory).map_err(|e| Failure::io(&shown, &e))?;
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let mut pages = Vec::new();
    let date = date();
    collect(&root, "lxctl", &mut pages);
    for (name, command) in pages {
        let path = directory.join(format!("{name}.1"));
        let page = clap_mangen::Man::new(command.clone().name(name.clone()))
            .title(name.to_uppercase())
            .section("1")
            .source(concat!("lxhost ", env!("CARGO_PKG_VERSION")))
            .manual("lxhost")
            .date(&date);
        let mut text = Vec::new();
        page.render(&mut text).map_err(|e| Failure::io(path.display(), &e))?;
        let text = String::from_utf8_lossy(&text).replace(".SH EXTRA\n", ".SH EXAMPLES\n");
        std::fs::write(&path, text).map_err(|e| Failure::io(path.display(), &e))?;
    }
    Ok(())
}

/// Date of the pages: that of the source where a reproducible build names it, else today.
fn date() -> String {
    let epoch = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse().ok());
    let epoch = epoch.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    epoch.unwrap_or_else(jiff::Timestamp::now).strftime("%Y-%m-%d").to_string()
}

/// `command` and all verbs below it, hidden ones left out, each with the name of its page.
fn collect<'a>(command: &'a Command, name: &str, pages: &mut Vec<(String, &'a Command)>) {
    pages.push((name.to_owned(), command));
    for verb in command.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help") {
        collect(verb, &format!("{name}-{}", verb.get_name()), pages);
    }
}

fn completion(shell: &str) -> Result<(), Failure> {
    let completer: &dyn EnvCompleter = match shell {
        "zsh" => &Zsh,
        "fish" => &Fish,
        _ => &Bash,
    };
    let mut script = Vec::new();
    completer
        .write_registration("COMPLETE", "lxctl", "lxctl", "lxctl", &mut script)
        .map_err(|e| Failure::io("write the completion script", &e))?;
    if shell == "zsh" {
        // Found by its name in fpath, the file is the body of _lxctl: its first run has to complete too.
        script.extend_from_slice(b"[[ \"$funcstack[1]\" == _lxctl ]] && _clap_dynamic_completer_lxctl \"$@\"\n");
    }
    crate::render::print(&String::from_utf8_lossy(&script))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_gets_a_page() {
        let directory = tempfile::tempdir().unwrap();
        man(directory.path()).unwrap();
        for page in ["lxctl.1", "lxctl-launch.1", "lxctl-config-device-add.1", "lxctl-image-alias-create.1"] {
            let text = std::fs::read_to_string(directory.path().join(page)).unwrap();
            assert!(text.contains(".SH SYNOPSIS") && text.contains("Examples:"), "{page}: {text}");
        }
        assert!(!directory.path().join("lxctl-generate.1").exists());
    }
}
