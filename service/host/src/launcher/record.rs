//! What this daemon notes in an instance's runtime directory for the one after it: names of links to remove.

use std::path::Path;

use lxhost_engine::ports::launcher::NicSpec;
use lxhost_model::{Error, Result};

const NAME: &str = "links";
/// A thousand interfaces' names.
const MOST_BYTES: usize = 16 << 10;

/// Notes the host's ends of the interfaces, before they are made.
pub(super) fn write(dir: &Path, nics: &[NicSpec]) -> Result<()> {
    let names: Vec<&str> = nics.iter().map(|nic| nic.host_name.as_str()).collect();
    let path = dir.join(NAME);
    std::fs::write(&path, names.join("\n")).map_err(|error| Error::io(format!("write {}", path.display()), &error))
}

/// The names noted; none where there is no note.
pub(super) fn links(dir: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(dir.join(NAME)).unwrap_or_default();
    if text.len() > MOST_BYTES {
        return Vec::new();
    }
    text.lines().filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
