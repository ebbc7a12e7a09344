//! One dataset with a tree: made, copied, removed, bounded. A copy is a clone of a snapshot that was taken for it alone and
//! goes with it. What has copies can be removed all the same: a copy takes over what they share. Called by `zfs`.

use super::super::apart::note;
use super::command::{found, patiently, run};
use super::names::Names;
use crate::blocking::blocking;
use lxhost_engine::ports::Usage;
use lxhost_model::{Error, Kind, Result};
use rustix::mount::MountFlags;
use std::path::Path;

/// Bytes that have to be free for a new tree.
const LEAST: u64 = 8 << 20;

/// Makes an empty tree.
///
/// # Errors
/// `NoSpace`, `Failed`.
pub(super) async fn make(names: &Names, tree: &str) -> Result<()> {
    run("zfs", &["create", "-o", "mountpoint=legacy", &names.tree(tree)]).await.map(drop)
}

/// Makes a tree that holds what another does in this moment.
///
/// # Errors
/// `NoSpace`, `Failed`.
pub(super) async fn copy(names: &Names, origin: &str, tree: &str) -> Result<()> {
    let snapshot = format!("{}@{tree}", names.tree(origin));
    run("zfs", &["snapshot", &snapshot]).await?;
    let cloned = run("zfs", &["clone", "-o", "mountpoint=legacy", &snapshot, &names.tree(tree)]).await;
    if cloned.is_err() {
        drop_snapshot(&snapshot).await;
    }
    cloned.map(drop)
}

/// Removes a tree; one that is gone is fine. What others share with it goes over to them.
///
/// # Errors
/// `InUse`, `NoSpace`, `Failed`.
pub(super) async fn remove(names: &Names, tree: &str) -> Result<()> {
    let name = names.tree(tree);
    while let Some(heir) = heir(&name).await? {
        // One that is gone by now has let go of what they shared.
        found("zfs", &["promote", &heir]).await?;
    }
    let origin = found("zfs", &["get", "-H", "-p", "-o", "value", "origin", &name]).await?;
    patiently("zfs", &["destroy", "-r", &name]).await?;
    if let Some(snapshot) = origin.as_deref().map(str::trim).filter(|origin| is_for_a_copy(names, origin)) {
        drop_snapshot(snapshot).await;
    }
    Ok(())
}

/// The copy that takes over the youngest snapshot of a dataset, and all older ones with it.
async fn heir(name: &str) -> Result<Option<String>> {
    let words = ["list", "-H", "-p", "-t", "snapshot", "-o", "clones", "-S", "createtxg", "-d", "1", name];
    let said = found("zfs", &words).await?.unwrap_or_default();
    Ok(first_clone(&said))
}

/// The first clone in a list of those of snapshots.
fn first_clone(said: &str) -> Option<String> {
    let clones = said.lines().flat_map(|line| line.trim().split(','));
    clones.into_iter().find(|clone| clone.contains('/')).map(str::to_owned)
}

/// Removes a snapshot whose copy is gone. One that stays takes room until the daemon starts again, and nothing else.
async fn drop_snapshot(snapshot: &str) {
    if let Err(error) = found("zfs", &["destroy", snapshot]).await {
        tracing::warn!("snapshot {snapshot} could not be removed: {error}");
    }
}

/// Whether a snapshot was taken for a copy of ours.
fn is_for_a_copy(names: &Names, snapshot: &str) -> bool {
    let ours = |(of, copy): (&str, &str)| tree_of(names, of).is_some() && note::tree_in(copy).is_some();
    snapshot.split_once('@').is_some_and(ours)
}

/// Removes snapshots whose copies are gone.
///
/// # Errors
/// `Failed`.
pub(super) async fn tidy(names: &Names) -> Result<()> {
    let said = run("zfs", &["list", "-H", "-p", "-t", "snapshot", "-o", "name,clones", "-r", &names.base]).await?;
    for snapshot in without_copies(names, &said) {
        drop_snapshot(snapshot).await;
    }
    Ok(())
}

/// Those of a list of snapshots with their clones.
fn without_copies<'said>(names: &Names, said: &'said str) -> Vec<&'said str> {
    let left = |line: &'said str| {
        let (snapshot, clones) = line.split_once('\t')?;
        (matches!(clones.trim(), "" | "-") && is_for_a_copy(names, snapshot)).then_some(snapshot)
    };
    said.lines().filter_map(left).collect()
}

/// All trees of the pool.
///
/// # Errors
/// `Failed`.
pub(super) async fn all(names: &Names) -> Result<Vec<String>> {
    let said = run("zfs", &["list", "-H", "-t", "filesystem", "-o", "name", "-d", "1", &names.base]).await?;
    Ok(said.lines().filter_map(|name| tree_of(names, name)).collect())
}

/// The tree that a dataset is, if it is one of the pool's.
pub(super) fn tree_of(names: &Names, dataset: &str) -> Option<String> {
    let name = dataset.strip_prefix(&names.base)?.strip_prefix('/')?;
    note::tree_in(name).filter(|tree| tree == name)
}

/// Mounts a tree.
///
/// # Errors
/// `Failed`.
pub(super) async fn mount(names: &Names, tree: &str, at: &Path) -> Result<()> {
    let (dataset, at) = (names.tree(tree), at.to_owned());
    blocking("mount a tree", move || {
        // Nothing in a tree is a device that anybody opens: containers have their own.
        let mounted = rustix::mount::mount(&dataset, &at, "zfs", MountFlags::NODEV, c"");
        mounted.map_err(|e| Error::io(format!("mount {dataset}"), &e.into()))
    })
    .await
}

/// Bytes that a tree refers to, whoever else does.
///
/// # Errors
/// `Failed`.
pub(super) async fn used(names: &Names, tree: &str) -> Result<u64> {
    Ok(numbers(names.tree(tree).as_str(), "referenced").await?.first().copied().unwrap_or(0))
}

/// Limits them. A tree that takes more than that already can take no more.
///
/// # Errors
/// `Failed`.
pub(super) async fn limit(names: &Names, tree: &str, bytes: Option<u64>) -> Result<()> {
    let name = names.tree(tree);
    let now = numbers(&name, "refquota,referenced").await?;
    let (set, taken) = (now.first().copied().unwrap_or(0), now.get(1).copied().unwrap_or(0));
    let wanted = bytes.map_or(0, |bytes| bytes.max(taken));
    if set == wanted {
        return Ok(());
    }
    let quota = |bytes: u64| if bytes == 0 { "refquota=none".to_owned() } else { format!("refquota={bytes}") };
    match run("zfs", &["set", &quota(wanted), &name]).await {
        // What was written meanwhile is counted only now.
        Err(error) if bytes.is_some() && error.message.contains("less than current") => {
            run("zpool", &["sync", &names.zpool]).await?;
            let taken = used(names, tree).await?;
            run("zfs", &["set", &quota(wanted.max(taken)), &name]).await.map(drop).map_err(|_| error)
        }
        set => set.map(drop),
    }
}

/// Room in the pool.
///
/// # Errors
/// `Failed`.
pub(super) async fn room(names: &Names) -> Result<Usage> {
    let numbers = numbers(&names.base, "used,available").await?;
    let (used, free) = (numbers.first().copied().unwrap_or(0), numbers.get(1).copied().unwrap_or(0));
    Ok(Usage { total: used.saturating_add(free), free })
}

/// Refuses a tree for which there is no room.
///
/// # Errors
/// `NoSpace`, `Failed`.
pub(super) async fn has_room(names: &Names) -> Result<()> {
    match room(names).await?.free >= LEAST {
        true => Ok(()),
        false => Err(Error::new(Kind::NoSpace, format!("zpool {} is full", names.zpool))),
    }
}

/// Numbers that a dataset has as properties.
async fn numbers(dataset: &str, properties: &str) -> Result<Vec<u64>> {
    let said = run("zfs", &["get", "-H", "-p", "-o", "value", properties, dataset]).await?;
    said.lines()
        .map(|line| match line.trim() {
            "none" | "-" => Ok(0),
            word => word.parse().map_err(|_| Error::failed(format!("{dataset} has no {properties}"))),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lxhost_model::ObjectId;

    fn names() -> Names {
        Names { zpool: "tank".into(), base: "tank/lxhost-own".into(), id: String::new() }
    }

    fn tree(byte: u8) -> String {
        format!("lxhost.{}", ObjectId::from_random([byte; 16]))
    }

    #[test]
    fn what_is_called_otherwise_is_no_tree_of_ours() {
        let (names, tree) = (names(), tree(1));
        assert_eq!(tree_of(&names, &format!("tank/lxhost-own/{tree}")), Some(tree.clone()));
        for other in [
            "tank/lxhost-own",
            "tank/lxhost-own/dir",
            &format!("tank/{tree}"),
            &format!("tank/lxhost-own2/{tree}"),
            &format!("tank/lxhost-own/{tree}/below"),
            &format!("tank/lxhost-own/x/{tree}"),
        ] {
            assert_eq!(tree_of(&names, other), None, "{other}");
        }
    }

    #[test]
    fn the_heir_is_a_copy_of_the_youngest_snapshot_that_has_one() {
        assert_eq!(first_clone("\n-\ntank/b,tank/c\ntank/a\n").as_deref(), Some("tank/b"));
        assert_eq!(first_clone("\n-\n"), None);
    }

    #[test]
    fn snapshots_that_nobody_has_a_copy_of_are_found_and_others_are_left() {
        let (names, one, two) = (names(), tree(1), tree(2));
        let ours = format!("tank/lxhost-own/{one}@{two}");
        let said = format!(
            "{ours}\t\ntank/lxhost-own/{one}@{one}\ttank/lxhost-own/{one}\ntank/lxhost-own/{one}@daily\t-\n\
             tank/lxhost-own/dir@{one}\t\ntank/x@{one}\t\n"
        );
        assert_eq!(without_copies(&names, &said), [ours.as_str()]);
        assert_eq!(without_copies(&names, &format!("{ours}\t-\n")), [ours.as_str()]);
    }
}
