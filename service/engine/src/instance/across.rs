//! What `instance.create` and `instance.move` do when a root goes to another pool: its files, and those of its
//! snapshots, are packed and unpacked while they come, whatever the two drivers are. One that runs stands still for as
//! long as its file system needs. Called by `copy` and `relocate`.

use super::export::{held_still, placed};
use super::pool_of;
use crate::Result;
use crate::backup::described;
use crate::ports::Held;
use crate::step::{Packing, Placed, Step};
use crate::verb::View;
use lxhost_model::backup::{About, Backup, Compression, ROOT, snapshot_root};
use lxhost_model::device::Device;
use lxhost_model::name::PoolName;
use lxhost_model::{Instance, ObjectId, Pool, Snapshot};
use std::sync::Arc;

/// A root that goes to another pool, with snapshots.
pub(super) struct Across<'a> {
    /// Whose it is.
    pub(super) instance: &'a Instance,
    /// What is read of it.
    pub(super) from: Held,
    /// What was it when that was so.
    pub(super) was: &'a Instance,
    /// The id under which what runs is taken meanwhile.
    pub(super) taken: ObjectId,
    /// Whose root it becomes.
    pub(super) to: ObjectId,
    /// Its snapshots, with the ids they have there.
    pub(super) snapshots: Vec<(&'a Arc<Snapshot>, ObjectId)>,
}

impl Across<'_> {
    /// The steps that make the roots in `pool`.
    pub(super) fn steps(&self, view: &View<'_>, pool: &Pool) -> Result<Vec<Step>> {
        let state = &view.state;
        let mut read = vec![placed(state, self.from, self.was, ROOT.to_owned())];
        read.extend(self.snapshots.iter().map(|(snapshot, _)| {
            placed(state, Held::Snapshot(snapshot.id), &snapshot.instance, snapshot_root(snapshot.name.as_str()))
        }));
        let ids = std::iter::once(self.to).chain(self.snapshots.iter().map(|(_, to)| *to));
        let made = read.iter().zip(ids).map(|(root, to)| Placed { held: Held::Instance(to), image: None, ..root.clone() });
        let made: Vec<Placed> = made.collect();
        let make = |root: &Placed| match root.held {
            Held::Instance(instance) => Some(Step::CreateRoot { pool: pool.clone(), instance, image: None }),
            _ => None,
        };
        let mut steps: Vec<Step> = made.iter().filter_map(make).collect();
        let from = Packing {
            pool: pool_of(state, self.instance)?,
            roots: read,
            about: About::Backup(Backup {
                name: self.instance.name.to_string(),
                pool: pool.name.to_string(),
                instance: described(self.was, &super::expand(state, self.was)),
                snapshots: vec![],
            }),
            compression: Compression::None,
        };
        let transfer = Step::Transfer { from: Box::new(from), pool: pool.clone(), roots: made };
        match self.from {
            Held::Snapshot(_) => steps.push(transfer),
            Held::Instance(_) | Held::Taken(_) => steps.extend(held_still(view, self.instance, self.taken, transfer)?),
        }
        steps.extend(self.snapshots.iter().map(|(_, to)| Step::AdoptSnapshot { pool: pool.clone(), snapshot: *to }));
        Ok(steps)
    }
}

/// The record of what goes to `pool`: all that it has lies in its own root there.
pub(super) fn placed_on(pool: &PoolName, instance: Instance) -> Result<Instance> {
    let mut moved = Instance { pool: pool.clone(), image: None, ..instance };
    for (name, device) in moved.devices.iter_mut().filter(|(_, device)| device.is_root() && device.get("pool").is_some()) {
        let mut keys = device.keys().clone();
        keys.insert("pool".to_owned(), pool.to_string());
        *device = Device::new(name, keys)?;
    }
    Ok(moved)
}
