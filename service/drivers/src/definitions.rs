//! Definitions of what has no disk of its own: `<state>/definitions/NAME.yaml`, for root alone. Called by the engine.

use crate::blocking::blocking;
use crate::storage::definition::{beside_it, text};
use async_trait::async_trait;
use lxhost_engine::ports::{Definition, Definitions};
use lxhost_model::{Error, Result};
use lxhost_safefs::Dir;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// What every name of a file ends with.
const ENDING: &str = ".yaml";

/// The directory.
pub struct StateDefinitions {
    dir: PathBuf,
}

impl StateDefinitions {
    /// Below `state`. Removes what a daemon that died had begun to write.
    pub fn new(state: &Path) -> Self {
        let dir = state.join("definitions");
        match Dir::open(&dir).and_then(|dir| dir.remove_unfinished()) {
            Err(error) if error.kind() != ErrorKind::NotFound => tracing::warn!("{}: {error}", dir.display()),
            _ => {}
        }
        StateDefinitions { dir }
    }
}

#[async_trait]
impl Definitions for StateDefinitions {
    async fn write(&self, name: &str, text: &str) -> Result<()> {
        let (dir, name, text) = (self.dir.clone(), format!("{name}{ENDING}"), text.to_owned());
        blocking("write the definition", move || {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
            made.map_err(|e| Error::io(dir.display(), &e))?;
            beside_it(&dir, &name, &text)
        })
        .await
    }

    async fn remove(&self, name: &str) -> Result<()> {
        let file = self.dir.join(format!("{name}{ENDING}"));
        blocking("remove the definition", move || match fs::remove_file(&file) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io(file.display(), &e)),
            _ => Ok(()),
        })
        .await
    }

    async fn all(&self) -> Result<Vec<Definition<String>>> {
        let dir = self.dir.clone();
        blocking("read the definitions", move || {
            let failed = |e: io::Error| Error::io(dir.display(), &e);
            let entries = match fs::read_dir(&dir) {
                Err(e) if e.kind() == ErrorKind::NotFound => return Ok(vec![]),
                entries => entries.map_err(failed)?,
            };
            let mut found = vec![];
            for entry in entries {
                let file = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
                if let Some(name) = file.strip_suffix(ENDING) {
                    found.push(Definition { of: name.to_owned(), text: text(&dir, &file) });
                }
            }
            Ok(found)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_dead_daemon_was_writing_goes_and_definitions_stay() {
        let state = std::env::temp_dir().join(format!("lxhost-definitions-{}", std::process::id()));
        StateDefinitions::new(&state).write("profile-p1", "kind: profile\n").await.unwrap();
        fs::write(state.join("definitions/.lxhost-30458b4813f8ac9f"), "kind: pro").unwrap();
        let found = StateDefinitions::new(&state).all().await.unwrap();
        assert_eq!(found.iter().map(|found| found.of.as_str()).collect::<Vec<_>>(), ["profile-p1"]);
        assert_eq!(fs::read_dir(state.join("definitions")).unwrap().count(), 1);
        fs::remove_dir_all(&state).unwrap();
    }
}
