//! Editing a text: in the user's editor on a terminal, or replaced from standard input.

use crate::failure::Failure;
use std::io::{IsTerminal, Write};
use std::process::Command;

/// Lets the user edit `text` and hands it to `accept` until that takes it or the user gives up.
/// Without a terminal standard input is the new text. An unchanged text is not handed over.
pub(crate) async fn edit(text: &str, mut accept: impl AsyncFnMut(&str) -> Result<(), Failure>) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        let new = crate::pairs::read_text(&mut std::io::stdin().lock())?;
        return accept(&new).await;
    }
    let mut current = text.to_owned();
    loop {
        let new = in_editor(&current)?;
        if new == text {
            return Ok(());
        }
        if new.trim().is_empty() {
            // It would take everything away; `unset` and `remove` do that by name.
            return Err(Failure::of(lxhost_model::Kind::Canceled, "the text was emptied: nothing is changed"));
        }
        match accept(&new).await {
            Ok(()) => return Ok(()),
            Err(failure) => {
                failure.report();
                let again = dialoguer::Confirm::new().with_prompt("Edit it again").default(true).interact().unwrap_or(false);
                if !again {
                    return Err(Failure::said(failure.code));
                }
                current = new;
            }
        }
    }
}

/// What `$VISUAL`, `$EDITOR` or vi makes of `text`, in a file only the user can read.
fn in_editor(text: &str) -> Result<String, Failure> {
    let mut file = tempfile::Builder::new()
        .prefix("lxctl-")
        .suffix(".yaml")
        .tempfile()
        .map_err(|e| Failure::io("make a temporary file", &e))?;
    file.write_all(text.as_bytes()).map_err(|e| Failure::io("write the temporary file", &e))?;
    let editor = ["VISUAL", "EDITOR"].into_iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.trim().is_empty()));
    let editor = editor.unwrap_or_else(|| "vi".to_owned());
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("vi");
    let status = Command::new(program)
        .args(words)
        .arg(file.path())
        .status()
        .map_err(|e| Failure::io(format!("start the editor {program}"), &e).hint("EDITOR names another"))?;
    if !status.success() {
        return Err(Failure::of(
            lxhost_model::Kind::Canceled,
            format!("the editor {program} ended with {status}: nothing is changed"),
        ));
    }
    // By its name: many editors write a new file in the old one's place.
    let mut edited = std::fs::File::open(file.path()).map_err(|e| Failure::io("read the edited file", &e))?;
    crate::pairs::read_text(&mut edited)
}
