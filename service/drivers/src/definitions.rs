//! Definitions of what has no disk of its own: `<state>/definitions/NAME.yaml`, for root alone. Called by the engine.

use crate::blocking::blocking;
use crate::storage::definition::{beside_it, text};
use async_trait::async_trait;
use lxhost_engine::ports::{Definition, Definitions};
use lxhost_model::{Error, Result};
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
    /// Below `state`.
    pub fn new(state: &Path) -> Self {
        StateDefinitions { dir: state.join("definitions") }
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
