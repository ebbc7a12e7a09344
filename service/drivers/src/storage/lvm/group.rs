//! The volume group of a pool: one that the pool brings on a device or in a file, or somebody else's, in which it has a
//! thin pool. Beside that lies a volume of fixed size with the pool's directory. Called by `filesystem`.

use super::super::filesystem::device;
use super::super::source::{SIZE, Source};
use super::super::tool;
use super::command::{found, run};
use super::names::{self, Names};
use lxhost_model::size::parse_bytes;
use lxhost_model::{Error, Kind, Pool, Result};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long something may keep a volume open that is to go, and the pause between two tries.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);
/// Least and most bytes of the volume with the pool's directory, and of the thin pool's own notes.
const DIRECTORY: (u64, u64) = (32 << 20, 1 << 30);
const METADATA: (u64, u64) = (8 << 20, 1 << 30);
/// So many times as large is the pool.
const PART: u64 = 64;
/// Bytes that LVM counts in, unless a group says otherwise.
const EXTENT: u64 = 4 << 20;

/// A volume group that is there.
struct Seen {
    tags: Vec<String>,
    free: u64,
}

/// A logical volume.
struct Logical {
    name: String,
    tags: Vec<String>,
    thin: String,
}

/// Makes the pool's volumes, in a group that is made unless `source` names one. Gives the device for the pool's directory.
/// What was half made by the same pool is made once more.
///
/// # Errors
/// `Conflict` for a name that somebody else has; `InvalidConfig`, `InUse`, `Unsupported`, `NoSpace`, `Failed`.
pub(in super::super) async fn make(names: &Names, pool: &Pool, source: &Source, what: &Path, wipe: bool) -> Result<PathBuf> {
    drop_volumes(names).await?;
    let seen = seen(&names.group).await?;
    match source {
        Source::Group(group) => {
            let seen = seen.ok_or_else(|| Error::new(Kind::InvalidConfig, format!("there is no volume group {group}")))?;
            if seen.tags.iter().any(|tag| tag.starts_with("lxhost.")) {
                let what = format!("volume group {group} is another pool's; lxctl recover takes in what no record knows");
                return Err(Error::new(Kind::Conflict, what));
            }
            let taken = [names.pool(), names.directory()];
            if let Some(other) = volumes(&names.group).await?.iter().find(|other| taken.contains(&names.tree(&other.name))) {
                let what = format!("volume group {group} has a volume {} already; {} names another", other.name, names::THIN);
                return Err(Error::new(Kind::Conflict, what));
            }
        }
        _ if seen.is_some() => {
            let what = format!("there is a volume group {} already; {} names another", names.group, names::GROUP);
            return Err(Error::new(Kind::Conflict, what));
        }
        _ => {
            let device = match source {
                Source::File(_) => attach(what).await?,
                _ => {
                    device::clear(what, wipe).await?;
                    what.to_owned()
                }
            };
            let words = ["-qq", "--yes", "--addtag", &names.tag];
            let names = [OsString::from(&names.group), device.into_os_string()];
            run("vgcreate", &words, &names).await?;
        }
    }
    fill(names, pool, source).await
}

/// Makes the two volumes.
async fn fill(names: &Names, pool: &Pool, source: &Source) -> Result<PathBuf> {
    let seen = seen(&names.group).await?.ok_or_else(|| Error::failed("its volume group is gone"))?;
    let wanted = match (source, pool.config.get(SIZE)) {
        (Source::Group(_), Some(size)) => Some(parse_bytes(size)?),
        _ => None,
    };
    let all = wanted.unwrap_or(seen.free);
    let of_dir = format!("{}b", part(all, DIRECTORY));
    let (thin, dir) = (names.thin.as_str(), format!("{}.dir", names.thin));
    let words = ["-qq", "--yes", "-Wy", "-ky", "-K", "-ay", "--addtag", &names.tag, "-L", &of_dir, "-n", &dir];
    run("lvcreate", &words, &[&names.group]).await?;
    let metadata = format!("{}b", part(all, METADATA));
    let size = wanted.map_or(["-l".to_owned(), "100%FREE".to_owned()], |bytes| ["-L".to_owned(), format!("{bytes}b")]);
    let mut words = vec!["-qq", "--yes", "--thin", "-Zy", "--errorwhenfull", "y", "--addtag", &names.tag];
    words.extend(["--poolmetadatasize", &metadata, &size[0], &size[1], "-n", thin]);
    run("lvcreate", &words, &[&names.group]).await?;
    Ok(names::device(&names.directory()))
}

/// Has the pool's volumes at hand; gives the device with its directory. `None`: there is none.
///
/// # Errors
/// `Unsupported`, `Failed`.
pub(in super::super) async fn find(names: &Names, source: &Source) -> Result<Option<PathBuf>> {
    if let Source::File(path) = source {
        if !path.is_file() {
            return Ok(None);
        }
        attach(path).await?;
    }
    let activated = found("lvchange", &["-qq", "-K", "-ay"], &[names.directory(), names.pool()]).await?;
    Ok(activated.map(|_| names::device(&names.directory())).filter(|device| device.exists()))
}

/// The device with the directory of the pool that lies in a file, and nobody may know.
///
/// # Errors
/// `Failed` when there is none.
pub(in super::super) async fn in_file(path: &Path) -> Result<PathBuf> {
    let loop_device = attach(path).await?;
    let said = run("pvs", &["--noheadings", "-o", "vg_name"], &[&loop_device]).await?;
    let group = said.trim();
    let none = || Error::failed("there is no pool in its volume group");
    let all = volumes(group).await?;
    let ours = |volume: &&Logical| volume.name.ends_with(".dir") && volume.tags.iter().any(|tag| tag.starts_with("lxhost."));
    let volume = format!("{group}/{}", all.iter().find(ours).ok_or_else(none)?.name);
    run("lvchange", &["-qq", "-K", "-ay"], &[&volume]).await?;
    Ok(names::device(&volume))
}

/// Has the volumes grow to the size in the pool's record. What the file has more, the thin pool has.
///
/// # Errors
/// `NoSpace`, `Failed`.
pub(in super::super) async fn grow(names: &Names, source: &Source, bytes: u64) -> Result<()> {
    if let Source::File(path) = source {
        let device = attach(path).await?;
        tool::run("losetup", &["--set-capacity", &device.to_string_lossy()], &[""; 0]).await?;
        run("pvresize", &["-qq"], &[&device]).await?;
    }
    let words = ["--noheadings", "--units", "b", "--nosuffix", "--separator", "|", "-o", "lv_size,lv_metadata_size"];
    let said = run("lvs", &words, &[names.pool()]).await?;
    let mut sizes = said.trim().split('|').map(|size| size.parse::<u64>().unwrap_or(u64::MAX));
    let (data, metadata) = (sizes.next().unwrap_or(u64::MAX), sizes.next().unwrap_or(u64::MAX));
    let least = part(bytes, METADATA);
    if metadata < least {
        run("lvextend", &["-qq", "--poolmetadatasize", &format!("{least}b")], &[names.pool()]).await?;
    }
    match source {
        Source::Group(_) if data >= bytes => Ok(()),
        Source::Group(_) => run("lvextend", &["-qq", "-L", &format!("{bytes}b")], &[names.pool()]).await.map(drop),
        _ => {
            let seen = seen(&names.group).await?.ok_or_else(|| Error::failed("its volume group is gone"))?;
            match seen.free {
                0 => Ok(()),
                _ => run("lvextend", &["-qq", "-l", "+100%FREE"], &[names.pool()]).await.map(drop),
            }
        }
    }
}

/// Removes what the pool has, and the group if the pool has brought it. What somebody else has stays. Says whether the file
/// was the pool's.
///
/// # Errors
/// `InUse` while something uses a volume, or somebody else has volumes there; `Failed`.
pub(in super::super) async fn remove(names: &Names, source: &Source, unfinished: Option<&Path>) -> Result<bool> {
    let mut own = unfinished.filter(|path| path.exists()).map(|path| vec![path.to_owned()]).unwrap_or_default();
    let file = if let Source::File(path) = source { Some(path).filter(|path| path.is_file()) } else { None };
    if let Some(path) = file {
        let attached = !device::loops(path).await?.is_empty();
        attach(path).await?;
        if !attached {
            own.push(path.clone());
        }
    }
    let ours = drop_volumes(names).await?;
    own.extend(file.filter(|_| ours).cloned());
    for file in own {
        for device in device::loops(&file).await? {
            tool::run("losetup", &["--detach", &device], &[""; 0]).await?;
        }
    }
    Ok(ours)
}

/// Removes the pool's volumes, and the group if it is the pool's. `false`: there was none of the pool's.
async fn drop_volumes(names: &Names) -> Result<bool> {
    let Some(seen) = seen(&names.group).await? else { return Ok(false) };
    let all = volumes(&names.group).await?;
    let is_ours = |volume: &Logical| volume.tags.contains(&names.tag);
    let brought = seen.tags.contains(&names.tag);
    let within = |volume: &&Logical| !is_ours(volume) && (brought || volume.thin == names.thin);
    let thin = all.iter().find(|volume| volume.name == names.thin).is_some_and(is_ours);
    if (brought || thin)
        && let Some(other) = all.iter().find(within)
    {
        let what = format!("volume group {} holds a volume {} of somebody else's", names.group, other.name);
        return Err(Error::new(Kind::InUse, what));
    }
    if brought {
        let said = run("vgs", &["--noheadings", "-o", "pv_name"], &[&names.group]).await?;
        patiently("vgremove", &names.group).await?;
        for device in said.split_whitespace() {
            run("pvremove", &["-qq", "--yes"], &[device]).await?;
        }
        return Ok(true);
    }
    // The thin pool goes with everything in it.
    for volume in all.iter().filter(|volume| is_ours(volume) && volume.thin.is_empty()) {
        patiently("lvremove", &names.tree(&volume.name)).await?;
    }
    Ok(false)
}

/// Removes what somebody may look into for a moment.
async fn patiently(program: &str, name: &str) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match found(program, &["-qq", "--force", "--yes"], &[name]).await {
            Err(error) if error.kind == Kind::InUse && Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
            removed => return removed.map(drop),
        }
    }
}

/// Has a file at hand as a device.
async fn attach(file: &Path) -> Result<PathBuf> {
    if let Some(device) = device::loops(file).await?.into_iter().next() {
        return Ok(device.into());
    }
    let said = tool::run("losetup", &["--find", "--show"], &[file]).await?;
    Ok(PathBuf::from(said.trim()))
}

async fn seen(group: &str) -> Result<Option<Seen>> {
    let words = ["--noheadings", "--units", "b", "--nosuffix", "--separator", "|", "-o", "vg_free,vg_tags"];
    let Some(said) = found("vgs", &words, &[group]).await? else { return Ok(None) };
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.len() > 1 {
        return Err(Error::new(Kind::Conflict, format!("there is more than one volume group {group}")));
    }
    let mut fields = lines.first().copied().unwrap_or_default().split('|');

    let free = fields.next().and_then(|field| field.parse().ok()).unwrap_or(0);
    Ok(Some(Seen { free, tags: tags(fields.next()) }))
}

/// All logical volumes of a group that are not parts of others.
async fn volumes(group: &str) -> Result<Vec<Logical>> {
    let words = ["--noheadings", "--separator", "|", "-o", "lv_name,pool_lv,lv_tags"];
    let said = run("lvs", &words, &[group]).await?;
    let volume = |line: &str| {
        let mut fields = line.trim().split('|');
        let (name, thin) = (fields.next()?.to_owned(), fields.next()?.to_owned());
        (!name.is_empty()).then(|| Logical { name, thin, tags: tags(fields.next()) })
    };
    Ok(said.lines().filter_map(volume).collect())
}

/// Names of the trees that the pool has, whoever knows them.
///
/// # Errors
/// `Failed`.
pub(super) async fn trees(names: &Names) -> Result<Vec<String>> {
    let all = volumes(&names.group).await?.into_iter();
    Ok(all.filter(|one| one.thin == names.thin && one.tags.contains(&names.tag)).map(|one| one.name).collect())
}

fn tags(field: Option<&str>) -> Vec<String> {
    field.into_iter().flat_map(|field| field.split(',')).filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
}

/// A part of a pool of that size, in whole extents.
fn part(bytes: u64, (least, most): (u64, u64)) -> u64 {
    (bytes / PART).clamp(least, most).next_multiple_of(EXTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_parts_of_large_pools_are_bounded() {
        assert_eq!(part(300 << 20, DIRECTORY), 32 << 20);
        assert_eq!(part(10 << 30, DIRECTORY), 160 << 20);
        assert_eq!(part(1 << 50, DIRECTORY), 1 << 30);
        assert_eq!(part(0, METADATA), 8 << 20);
    }
}
