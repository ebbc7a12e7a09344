//! `backup verify`: the program that would unpack a backup reads it to its end, as the caller and without the daemon.

use crate::failure::Failure;
use crate::render::{self, Format, Table};
use lxhost_model::Kind;
use serde_json::Value;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

/// The program; the package puts it there.
const PROGRAM: &str = "/usr/libexec/lxhost/lxhost-unpack";

/// Reads a backup to its end.
pub(crate) fn run(path: &Path, format: Format, quiet: bool) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::io(path.display(), &e);
    let file = File::open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(Failure::usage(format!("{} is no regular file", path.display())));
    }
    let ran = Command::new(PROGRAM).arg("verify").stdin(Stdio::from(file)).output();
    let ran = ran.map_err(|e| Failure::io(PROGRAM, &e))?;
    let last = String::from_utf8_lossy(&ran.stderr).lines().last().unwrap_or("it said nothing").to_owned();
    match ran.status.code() {
        Some(0) => shown(path, &ran.stdout, format, quiet),
        Some(2) => Err(Failure::of(Kind::Untrusted, format!("{}: {}", path.display(), render::printable(&last)))),
        _ => Err(Failure::of(Kind::Failed, format!("{}: {}", path.display(), render::printable(&last)))),
    }
}

fn shown(path: &Path, said: &[u8], format: Format, quiet: bool) -> Result<(), Failure> {
    let failed = |e: serde_json::Error| Failure::of(Kind::Failed, format!("{}: {e}", path.display()));
    let data: Value = serde_json::from_slice(said).map_err(failed)?;
    // An instance, or a custom volume.
    let of_volume = data["volume"].is_object();
    let (backup, kind) = if of_volume { (&data["volume"], "volume") } else { (&data["backup"], "instance") };
    let snapshots: Vec<&str> =
        backup["snapshots"].as_array().into_iter().flatten().filter_map(|one| one["name"].as_str()).collect();
    let mut table = Table::new([kind.to_uppercase().as_str(), "MADE AT", "ARCHITECTURE", "SNAPSHOTS", "FILES", "SIZE"]);
    table.push([
        backup["name"].as_str().unwrap_or_default().to_owned(),
        render::date(backup[kind]["created"].as_u64().unwrap_or(0)),
        backup[kind]["architecture"].as_str().unwrap_or_default().to_owned(),
        snapshots.join(" "),
        data["entries"].to_string(),
        render::bytes(data["bytes"].as_u64().unwrap_or(0)),
    ]);
    render::show(format, quiet, &table, &data)
}
