//! `volume.import`: a volume and its snapshots from a backup in LXD's format. What the backup says about itself has been
//! read before, once; nothing else in it is taken for a definition. It never takes the place of anything.

use super::{free, pool_of, question};
use crate::backup::shifts_of;
use crate::job::Output;
use crate::ports::{Caller, Held, Row, State, Write};
use crate::step::{Outcome, Placed, Step};
use crate::verb::{Finish, Plan, Question, Recovery, Verb, View};
use crate::{Engine, Error, Kind, Result, quota};
use async_trait::async_trait;
use lxhost_model::backup::{About, DescribedVolume, Shift, VOLUME, VolumeBackup, Words, volume_snapshot};
use lxhost_model::config::{Config, check_text};
use lxhost_model::name::{PoolName, ProjectName, SnapshotName, VolumeName, quoted};
use lxhost_model::volume::check_key;
use lxhost_model::{ObjectId, Pool, Volume, VolumeSnapshot};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

/// Before keys that a daemon keeps for itself.
const VOLATILE: &str = "volatile.";
/// Bytes that a volume may take.
const SIZE: &str = "size";
/// How LXD had shifted a volume, among these.
const SHIFTS: &str = "volatile.idmap.last";

/// Makes a volume from a backup.
pub struct Import {
    /// The record, but for the time.
    volume: Volume,
    snapshots: Vec<VolumeSnapshot>,
    /// How the ids of files were shifted, of the volume and of each snapshot.
    shifts: Vec<Vec<Shift>>,
    /// What has no meaning here, a line each.
    left_out: Vec<String>,
    file: Mutex<Option<OwnedFd>>,
}

impl Engine {
    /// Reads what the backup in `file` says about itself, for a caller who may make volumes on `pool`. `name`: what it is
    /// called; `None`: as it was.
    ///
    /// # Errors
    /// Those of the authority; `InvalidArgs` for what is no regular file; `Untrusted` for what is no backup of a volume, or
    /// says what nobody can be.
    pub async fn read_volume_backup(
        &self,
        caller: &Caller,
        pool: PoolName,
        project: ProjectName,
        file: OwnedFd,
        name: Option<VolumeName>,
    ) -> Result<Import> {
        let wanted = name.as_ref().map(ToString::to_string).unwrap_or_default();
        self.core.ask(caller, vec![question(&pool, &project, &wanted, "volume.import")]).await?;
        let About::Volume(backup) = self.core.ports.backups.index(&file).await? else {
            return Err(Error::new(Kind::Untrusted, "backup: it is of an instance; lxctl import takes it"));
        };
        let random = || ObjectId::from_random(self.core.ports.host.random());
        Import::new((pool, project), backup, name, file, random)
    }
}

impl Import {
    fn new(
        (pool, project): (PoolName, ProjectName),
        backup: VolumeBackup,
        name: Option<VolumeName>,
        file: OwnedFd,
        random: impl Fn() -> ObjectId,
    ) -> Result<Self> {
        let untrusted = |error: Error| Error::new(Kind::Untrusted, format!("backup: {error}"));
        let name = name.map_or_else(|| backup.name.parse().map_err(untrusted), Ok)?;
        let mut left_out = vec![];
        let config = sorted(&backup.volume, &mut left_out).map_err(untrusted)?;
        let (description, volatile) = (backup.volume.description.clone(), Config::new());
        let content = backup.content;
        let volume =
            Volume { id: random(), project, pool, name, content, description, config, volatile, created: 0, generation: 0 };
        let mut shifts = vec![shifts(&backup.volume.config).map_err(untrusted)?];
        let mut snapshots: Vec<VolumeSnapshot> = vec![];
        for past in backup.snapshots {
            let name: SnapshotName = past.name.parse().map_err(untrusted)?;
            if snapshots.iter().any(|other| other.name == name) {
                return Err(untrusted(Error::new(Kind::Conflict, format!("it has two snapshots {}", quoted(&past.name)))));
            }
            shifts.push(self::shifts(&past.volume.config).map_err(untrusted)?);
            let config = sorted(&past.volume, &mut vec![]).map_err(untrusted)?;
            snapshots.push(VolumeSnapshot {
                id: random(),
                name,
                description: past.volume.description,
                created: past.volume.created,
                expires: past.expires,
                // The description of the volume then is not in a backup.
                volume: Volume { config, ..volume.clone() },
                generation: 0,
            });
        }
        Ok(Import { volume, snapshots, shifts, left_out, file: Mutex::new(Some(file)) })
    }

    /// Identity it is going to have.
    pub fn id(&self) -> ObjectId {
        self.volume.id
    }
}

/// The keys that may be set here. What this version does not know or obey is left out, and said.
fn sorted(said: &DescribedVolume, left_out: &mut Vec<String>) -> Result<Config> {
    check_text("description", &said.description)?;
    let mut config = Config::new();
    for (key, value) in said.config.iter().filter(|(key, _)| !key.starts_with(VOLATILE)) {
        check_text(key, value)?;
        match check_key(key, value) {
            Ok(()) => drop(config.insert(key.clone(), value.clone())),
            Err(error) => left_out.push(format!("left out: {error}")),
        }
    }
    Ok(config)
}

fn shifts(config: &Words) -> Result<Vec<Shift>> {
    config.get(SHIFTS).map_or_else(|| Ok(vec![]), |text| shifts_of(SHIFTS, text))
}

#[async_trait]
impl Verb for Import {
    fn name(&self) -> &'static str {
        "volume.import"
    }

    fn questions(&self, _state: &State) -> Vec<Question> {
        vec![question(&self.volume.pool, &self.volume.project, self.volume.name.as_str(), self.name())]
    }

    fn object(&self) -> Option<ObjectId> {
        Some(self.volume.id)
    }

    fn shares(&self, state: &State) -> Vec<ObjectId> {
        state.pool(&self.volume.pool).map(|pool| pool.id).into_iter().collect()
    }

    fn check(&self, state: &State) -> Result<()> {
        if self.volume.project != ProjectName::default() {
            return Err(Error::new(Kind::NoSuchProject, format!("project {} does not exist", self.volume.project)));
        }
        self.volume.check()?;
        pool_of(state, &self.volume)?;
        free(state, &self.volume)
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let state = &view.state;
        self.check(state)?;
        let mut volume = Volume { created: view.now, ..self.volume.clone() };
        let pool = Pool::clone(pool_of(state, &volume)?.as_ref());
        let place = super::place(view.ports, state, &volume)?;
        // The backup may come from where volumes have sizes.
        let unbound = view.ports.pools.driver(&place.driver)?.can_limit(&place).await.is_err();
        if unbound {
            volume.config.remove(SIZE);
        }
        let names = std::iter::once((volume.id, VOLUME.to_owned()))
            .chain(self.snapshots.iter().map(|one| (one.id, volume_snapshot(one.name.as_str()))));
        let (mut steps, mut roots) = (vec![], vec![]);
        for ((id, name), shifts) in names.zip(&self.shifts) {
            // A snapshot begins as a volume of its own.
            steps.push(Step::CreateVolume { pool: pool.clone(), volume: Box::new(Volume { id, ..volume.clone() }) });
            roots.push(Placed { held: Held::Instance(id), image: None, nesting: false, name, shifts: shifts.clone() });
        }
        let mut steps = quota::bounded(view, &place, (volume.id, volume.quota()?), steps).await?;
        steps.push(Step::UnpackBackup { pool: place.clone(), roots });
        let adopt = |one: &VolumeSnapshot| Step::AdoptSnapshot { pool: place.clone(), snapshot: one.id };
        steps.extend(self.snapshots.iter().map(adopt));
        let snapshot = |one: &VolumeSnapshot| {
            let mut was = Volume { created: view.now, ..one.volume.clone() };
            if unbound {
                was.config.remove(SIZE);
            }
            let created = if one.created == 0 { view.now } else { one.created };
            Write::Insert(Row::VolumeSnapshot(VolumeSnapshot { created, volume: was, ..one.clone() }))
        };
        let mut finish = vec![Write::Insert(Row::Volume(volume))];
        finish.extend(self.snapshots.iter().map(snapshot));
        Ok(Plan { writes: vec![], steps, finish, failed: vec![], recovery: Recovery::Undo })
    }

    fn carry(&self) -> Outcome {
        Outcome { backup: self.file.lock().unwrap_or_else(PoisonError::into_inner).take(), ..Outcome::default() }
    }

    fn finish(&self, plan: &Plan, _outcome: &Outcome, _state: &State) -> Result<Finish> {
        let mut output = Output::object("volume", self.volume.id);
        output.texts.insert("name", self.volume.name.to_string());
        output.notes.clone_from(&self.left_out);
        let has_none = |write: &Write| matches!(write, Write::Insert(Row::Volume(made)) if !made.config.contains_key(SIZE));
        if self.volume.config.contains_key(SIZE) && plan.finish.iter().any(has_none) {
            output.notes.push("left out: size: its pool cannot limit what a volume takes".to_owned());
        }
        Ok(Finish { writes: plan.finish.clone(), output })
    }
}
