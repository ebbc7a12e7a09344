//! `storage volume file`: files go through descriptors of the daemon, names and directories by its calls.

mod mount;
mod pull;
mod push;

use crate::args::{NewFile, Owner, VolumeFile as Args, VolumePath};
use crate::bus::{PAGE, Session};
use crate::editor;
use crate::failure::Failure;
use crate::render::{self, Format, Table};
use crate::values::{number, text};
use lxhost_dbus::Options;
use lxhost_dbus::proxy::FilesProxy;
use lxhost_dbus::wire::{FileRow, Values};
use lxhost_model::Kind;
use lxhost_model::name::quoted;
use serde_json::json;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Largest file that is edited.
const EDITABLE: u64 = 4 << 20;

/// Runs a verb of `storage volume file`.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<(), Failure> {
    match args {
        Args::Push { words, recursive, create_dirs, owner } => {
            let [sources @ .., pool, place] = &words[..] else { return Err(too_few()) };
            let place = Place::find(session, word(pool)?, word(place)?).await?;
            push::run(session, sources, &place, (*recursive, *create_dirs), owner).await
        }
        Args::Pull { words, recursive, create_dirs } => {
            let [pool, sources @ .., target] = &words[..] else { return Err(too_few()) };
            let pool = word(pool)?;
            let mut places = Vec::new();
            for source in sources {
                places.push(Place::find(session, pool, word(source)?).await?);
            }
            pull::run(session, &places, target, (*recursive, *create_dirs)).await
        }
        Args::Mount { pool, volume, target } => mount::run(session, pool, volume, target.as_deref()).await,
        Args::List { place, format } => list(session, &of(session, place).await?, format.format).await,
        Args::Create { place, target, kind, create_dirs, force, owner } => {
            let place = of(session, place).await?;
            let kind = kind.unwrap_or(if target.is_some() { NewFile::Symlink } else { NewFile::File });
            if *create_dirs {
                parents(session, &place, &place.path).await?;
            }
            create(session, &place, kind, target.as_deref(), *force, owner).await
        }
        Args::Delete { pool, places, recursive } => {
            for place in places {
                let place = Place::find(session, pool, place).await?;
                let options = Options::from([("recursive", (*recursive).into())]);
                session
                    .allowed(|| place.files.remove(&place.path, &options))
                    .await
                    .map_err(|e| unless_recursive(e, *recursive))?;
            }
            Ok(())
        }
        Args::Edit(place) => edit(session, &of(session, place).await?).await,
    }
}

/// Something in a volume.
pub(super) struct Place {
    pub(super) files: FilesProxy<'static>,
    /// Its path there, from the top.
    pub(super) path: String,
}

impl Place {
    async fn find(session: &Session, pool: &str, place: &str) -> Result<Place, Failure> {
        let place = place.strip_prefix("custom/").unwrap_or(place);
        let (name, path) = place.split_once('/').unwrap_or((place, ""));
        let volume = session.volume(pool, name).await?;
        let object = volume.inner().path().to_owned().into();
        Ok(Place { files: session.object(&object).await?, path: format!("/{path}") })
    }

    /// Opens the file at `path`, which may be new when it is to `create`; with what is said of it.
    async fn open(&self, session: &Session, path: &str, mode: &str, owner: &Owner) -> Result<(File, Values), Failure> {
        let options = owned(owner);
        let (data, about) = session.allowed(|| self.files.open_file(path, mode, &options)).await?;
        Ok((OwnedFd::from(data).into(), about))
    }

    /// Whether a directory is there.
    async fn is_directory(&self, session: &Session, path: &str) -> Result<bool, Failure> {
        let follow = Options::from([("follow", true.into())]);
        match session.allowed(|| self.files.stat(path, &follow)).await {
            Ok(about) => Ok(text(&about, "type") == "directory"),
            Err(failure) if failure.kind == Some(Kind::NoSuchFile) => Ok(false),
            Err(failure) => Err(failure),
        }
    }
}

async fn of(session: &Session, place: &VolumePath) -> Result<Place, Failure> {
    Place::find(session, &place.pool, &place.place).await
}

fn too_few() -> Failure {
    Failure::usage("a pool, a VOLUME/PATH and a path of the host are needed")
}

fn word(word: &Path) -> Result<&str, Failure> {
    let odd = || Failure::usage(format!("{} is not UTF-8", quoted(&word.to_string_lossy())));
    word.to_str().ok_or_else(odd)
}

/// The last part of a path.
fn last(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

fn join(directory: &str, name: &str) -> String {
    format!("{}/{name}", directory.trim_end_matches('/'))
}

/// Options that say whose something is going to be.
fn owned(owner: &Owner) -> Options<'static> {
    let parts = [("uid", owner.uid), ("gid", owner.gid), ("mode", owner.mode)];
    parts.into_iter().filter_map(|(key, value)| Some((key, value?.into()))).collect()
}

fn unless_recursive(failure: Failure, recursive: bool) -> Failure {
    if recursive { failure } else { failure.hint("--recursive deletes a directory with what is in it") }
}

/// Makes the directories on the way to `path`.
async fn parents(session: &Session, place: &Place, path: &str) -> Result<(), Failure> {
    let Some((parent, _)) = path.trim_end_matches('/').rsplit_once('/').filter(|(parent, _)| !parent.is_empty()) else {
        return Ok(());
    };
    let options = Options::from([("parents", true.into())]);
    session.allowed(|| place.files.make_directory(parent, &options)).await
}

/// Makes a link in the place of one, or of a file, that is there when that may be replaced.
async fn link(
    session: &Session,
    files: &FilesProxy<'_>,
    path: &str,
    target: &str,
    over: bool,
    owner: &Owner,
) -> Result<(), Failure> {
    let options = owned(&Owner { mode: None, ..*owner });
    let make = || files.make_link(path, target, &options);
    match session.allowed(make).await {
        Err(failure) if over && failure.kind == Some(Kind::AlreadyExists) => {
            let none = Options::new();
            session.allowed(|| files.remove(path, &none)).await?;
            session.allowed(make).await
        }
        made => made,
    }
}

async fn create(
    session: &Session,
    place: &Place,
    kind: NewFile,
    target: Option<&str>,
    force: bool,
    owner: &Owner,
) -> Result<(), Failure> {
    let (files, path, options, none) = (&place.files, place.path.as_str(), owned(owner), Options::new());
    match (kind, target) {
        (NewFile::Symlink, Some(target)) => link(session, files, path, target, force, owner).await,
        (NewFile::Symlink, None) => Err(Failure::usage("where does the link lead?")),
        (_, Some(_)) => Err(Failure::usage("only a link leads somewhere")),
        (NewFile::Directory, None) => session.allowed(|| files.make_directory(path, &options)).await,
        (NewFile::File, None) => {
            if !force {
                // Said before it would be emptied.
                match session.allowed(|| files.stat(path, &none)).await {
                    Ok(_) => {
                        let what = format!("{}: something of that name is there already", quoted(path));
                        return Err(Failure::of(Kind::AlreadyExists, what).hint("--force empties it"));
                    }
                    Err(failure) if failure.kind == Some(Kind::NoSuchFile) => {}
                    Err(failure) => return Err(failure),
                }
            }
            place.open(session, path, "create", owner).await.map(drop)
        }
    }
}

/// All rows of a directory.
pub(super) async fn rows(session: &Session, files: &FilesProxy<'_>, path: &str) -> Result<Vec<FileRow>, Failure> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let (page, next) = session.allowed(|| files.list_directory(path, &cursor, PAGE)).await?;
        all.extend(page);
        if next.is_empty() || next <= cursor {
            return Ok(all);
        }
        cursor = next;
    }
}

async fn list(session: &Session, place: &Place, format: Format) -> Result<(), Failure> {
    let rows = rows(session, &place.files, &place.path).await?;
    let mut table = Table::new(["NAME", "TYPE", "MODE", "UID", "GID", "SIZE", "MODIFIED", "TARGET"]);
    for row in &rows {
        let mode = format!("{:04o}", row.mode);
        let modified = render::date(row.modified);
        let (uid, gid, size) = (row.uid.to_string(), row.gid.to_string(), render::bytes(row.size));
        table.push([row.name.clone(), row.kind.clone(), mode, uid, gid, size, modified, row.target.clone()]);
    }
    let json = |row: &FileRow| {
        json!({
            "name": row.name, "type": row.kind, "mode": format!("{:04o}", row.mode), "uid": row.uid, "gid": row.gid,
            "size": row.size, "modified": row.modified, "target": row.target,
        })
    };
    render::show(format, session.quiet, &table, &rows.iter().map(json).collect::<Vec<_>>())
}

async fn edit(session: &Session, place: &Place) -> Result<(), Failure> {
    let path = place.path.as_str();
    let (data, about) = place.open(session, path, "read", &Owner::default()).await?;
    if number(&about, "size").is_none_or(|size| size > EDITABLE) {
        let what = format!("{}: files of more than {} MiB are not edited", quoted(path), EDITABLE >> 20);
        return Err(Failure::of(Kind::Unsupported, what).hint("pull it, edit it, push it"));
    }
    let text = std::io::read_to_string(data).map_err(|e| Failure::io(quoted(path), &e))?;
    editor::edit(&text, async |new: &str| {
        let (mut file, _) = place.open(session, path, "write", &Owner::default()).await?;
        file.write_all(new.as_bytes()).and_then(|()| file.sync_all()).map_err(|e| Failure::io(quoted(path), &e))
    })
    .await
}
