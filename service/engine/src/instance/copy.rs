//! What `instance.create` does when it copies: an instance with its snapshots, or one snapshot. A copy has the
//! configuration of its original, and a name, ids and addresses of its own. One that runs stands still for as long as
//! its file system needs. Called by `create`.

use super::across::{Across, placed_on};
use super::export::held;
use super::{expand, mac, mac_key};
use crate::Result;
use crate::core::instance_of;
use crate::ports::{Held, Origin, State};
use crate::snapshot::{find, is_left, settled};
use crate::step::Step;
use crate::verb::View;
use lxhost_model::name::SnapshotName;
use lxhost_model::{Instance, ObjectId, Pool, Snapshot, Status};
use std::sync::Arc;

/// What is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Original {
    /// The instance.
    pub instance: ObjectId,
    /// A snapshot of it instead of what it holds now.
    pub snapshot: Option<SnapshotName>,
    /// Without its snapshots.
    pub instance_only: bool,
}

/// What a copy takes, beside its record.
pub(super) struct Copying {
    pub(super) steps: Vec<Step>,
    /// Its snapshots.
    pub(super) snapshots: Vec<Snapshot>,
}

impl Original {
    /// An instance as it is now, with its snapshots.
    pub fn whole(instance: ObjectId) -> Self {
        Original { instance, snapshot: None, instance_only: false }
    }

    /// The record that the copy's is made of.
    pub(super) fn record(&self, state: &State) -> Result<Arc<Instance>> {
        let instance = instance_of(state, self.instance)?;
        Ok(match &self.snapshot {
            None => instance,
            Some(name) => Arc::new(find(state, self.instance, name)?.restored(&instance)),
        })
    }

    /// Whether what is copied is in use.
    pub(super) fn is_live(&self, state: &State) -> bool {
        self.snapshot.is_none() && state.instances.get(&self.instance).is_some_and(|instance| instance.status.is_live())
    }

    /// Refuses what cannot be copied.
    pub(super) fn check(&self, state: &State) -> Result<()> {
        settled(&*instance_of(state, self.instance)?)?;
        self.record(state).map(drop)
    }

    /// The steps that make the root of `copy`, with copies of these `snapshots`.
    pub(super) fn copying(&self, view: &View<'_>, pool: Pool, copy: &Instance, snapshots: &[&Arc<Snapshot>]) -> Result<Copying> {
        let state = &view.state;
        let instance = instance_of(state, self.instance)?;
        if copy.pool != instance.pool {
            return self.carrying(view, &pool, (&instance, copy), snapshots);
        }
        let at_once = view.ports.pools.driver(&pool.driver)?.snapshots_at_once();
        let from = match &self.snapshot {
            Some(name) => Origin::Snapshot(find(state, self.instance, name)?.id),
            None => Origin::Root { instance: self.instance, live: instance.status.is_live() },
        };
        let mut steps = vec![Step::CopyRoot { pool: pool.clone(), from, to: copy.id }];
        if self.is_live(state) && instance.status == Status::Running && !at_once {
            steps.insert(0, Step::Freeze(self.instance));
            steps.push(Step::Thaw(self.instance));
        }
        let mut copied = vec![];
        for snapshot in snapshots {
            let of_copy = snapshot.copied(ObjectId::from_random(view.ports.host.random()), copy);
            let (from, to) = (snapshot.id, of_copy.id);
            steps.push(Step::CopySnapshot { pool: pool.clone(), from, to, instance: copy.id });
            copied.push(of_copy);
        }
        steps.push(Step::KeepCopy { pool, instance: copy.id });
        Ok(Copying { steps, snapshots: copied })
    }

    /// The same to another pool.
    fn carrying(
        &self,
        view: &View<'_>,
        pool: &Pool,
        (instance, copy): (&Instance, &Instance),
        snapshots: &[&Arc<Snapshot>],
    ) -> Result<Copying> {
        let state = &view.state;
        let random = || ObjectId::from_random(view.ports.host.random());
        let taken = random();
        let from = match &self.snapshot {
            Some(name) => Held::Snapshot(find(state, self.instance, name)?.id),
            None => held(instance, taken),
        };
        let kept: Vec<(&Arc<Snapshot>, ObjectId)> = snapshots.iter().map(|snapshot| (*snapshot, random())).collect();
        let of_copy = |(snapshot, id): &(&Arc<Snapshot>, ObjectId)| {
            let of_copy = snapshot.copied(*id, copy);
            let instance = placed_on(&copy.pool, of_copy.instance.clone())?;
            Ok(Snapshot { instance, ..of_copy })
        };
        let snapshots = kept.iter().map(of_copy).collect::<Result<_>>()?;
        let was = self.record(state)?;
        let across = Across { instance, from, was: &was, taken, to: copy.id, snapshots: kept };
        Ok(Copying { steps: across.steps(view, pool)?, snapshots })
    }

    /// The snapshots that are copied, too.
    pub(super) fn snapshots<'a>(&self, state: &'a State) -> Vec<&'a Arc<Snapshot>> {
        let wanted = self.snapshot.is_none() && !self.instance_only;
        state.snapshots_of(self.instance).filter(|snapshot| wanted && !is_left(snapshot)).collect()
    }
}

/// Makes of the record of an instance to be, which says what is wanted otherwise, that of a copy of `from`.
pub(super) fn inherit(wanted: &mut Instance, from: &Instance) {
    if wanted.description.is_empty() {
        wanted.description = from.description.clone();
    }
    wanted.architecture = from.architecture.clone();
    wanted.image = from.image.clone();
    wanted.image_properties = from.image_properties.clone();
    wanted.pool = from.pool.clone();
    wanted.config = from.config.clone().into_iter().chain(std::mem::take(&mut wanted.config)).collect();
    wanted.devices = from.devices.clone().into_iter().chain(std::mem::take(&mut wanted.devices)).collect();
}

/// Gives every interface of a new instance a hardware address of its own.
pub(super) fn address(state: &State, instance: &mut Instance) {
    let expanded = expand(state, instance);
    for (device, _) in expanded.devices.iter().filter(|(_, device)| device.kind() == "nic") {
        instance.volatile.insert(mac_key(device), mac(instance.id, device));
    }
}
