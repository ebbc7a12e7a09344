//! What `volume.copy` and `volume.move` do when a volume goes to another pool: its files, and those of its snapshots,
//! are packed and unpacked while they come, whatever the two drivers are, as those of instances.

use super::users::still;
use super::{backup, place, pool_of};
use crate::Result;
use crate::ports::Held;
use crate::step::{Packing, Placed, Step};
use crate::verb::View;
use lxhost_model::backup::{About, Compression, VOLUME, volume_snapshot};
use lxhost_model::{Instance, Pool, Volume, VolumeSnapshot};
use std::sync::Arc;

/// A volume that goes to another pool, with snapshots.
pub(super) struct Across<'a> {
    /// What it is.
    pub(super) original: &'a Volume,
    /// What is read of it.
    pub(super) from: Held,
    /// Instances that run with it.
    pub(super) users: Vec<Arc<Instance>>,
    /// Its snapshots.
    pub(super) snapshots: Vec<&'a Arc<VolumeSnapshot>>,
    /// What they become.
    pub(super) made: (&'a Volume, &'a [VolumeSnapshot]),
}

impl Across<'_> {
    /// The steps that make them on the pool of what is made.
    pub(super) fn steps(&self, view: &View<'_>) -> Result<Vec<Step>> {
        let state = &view.state;
        let (volume, snapshots) = self.made;
        let pool = Pool::clone(pool_of(state, volume)?.as_ref());
        let (old, new) = (place(view.ports, state, self.original)?, place(view.ports, state, volume)?);
        let root = |held: Held, name: String| Placed { held, image: None, nesting: false, name, shifts: vec![] };
        let mut read = vec![root(self.from, VOLUME.to_owned())];
        read.extend(self.snapshots.iter().map(|one| root(Held::Snapshot(one.id), volume_snapshot(one.name.as_str()))));
        // A snapshot begins as a volume of its own.
        let roots: Vec<Volume> =
            std::iter::once(volume.clone()).chain(snapshots.iter().map(|one| Volume { id: one.id, ..volume.clone() })).collect();
        let filled = read.iter().zip(&roots).map(|(root, to)| Placed { held: Held::Instance(to.id), ..root.clone() }).collect();
        let make = |volume| Step::CreateVolume { pool: pool.clone(), volume: Box::new(volume) };
        let mut steps: Vec<Step> = roots.into_iter().map(make).collect();
        let from = Packing {
            pool: old.clone(),
            roots: read,
            about: About::Volume(backup(self.original, &[])),
            compression: Compression::None,
        };
        let transfer = Step::Transfer { from: Box::new(from), pool: new.clone(), roots: filled };
        match self.from {
            Held::Taken(snapshot) => {
                let instance = self.original.id;
                let take = Step::TakeSnapshot { pool: old.clone(), instance, snapshot, live: true };
                steps.extend(still(view, &old, &self.users, take)?);
                steps.extend([transfer, Step::DropTaken { pool: old, instance, snapshot }]);
            }
            Held::Instance(_) | Held::Snapshot(_) => steps.push(transfer),
        }
        steps.extend(snapshots.iter().map(|one| Step::AdoptSnapshot { pool: new.clone(), snapshot: one.id }));
        Ok(steps)
    }
}
