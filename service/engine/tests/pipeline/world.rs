//! A simulated machine whose engine can die and come back, and what has to be true of it at rest.

use lxhost_engine::ports::{Caller, ImageFiles, State};
use lxhost_engine::{Engine, Output, Result, Verb, instance};
use lxhost_model::instance::Exit;
use lxhost_model::{Acl, Error, Instance, ObjectId, Pool, Profile, Status, Volume};
use lxhost_sim::Sim;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Seek, Write};
use std::sync::Arc;
use std::time::Duration;

/// Longest anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Root on the bus.
pub(crate) fn root() -> Caller {
    Caller { bus_name: ":1.1".into(), uid: 0, interactive: false }
}

/// Somebody whom Polkit is asked about.
pub(crate) fn mia() -> Caller {
    Caller { bus_name: ":1.2".into(), uid: 1000, interactive: false }
}

/// A machine without a daemon.
pub(crate) struct Machine {
    pub(crate) sim: Sim,
    _dir: Arc<tempfile::TempDir>,
}

/// A machine with a daemon.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) sim: Sim,
    pub(crate) engine: Engine,
}

impl Machine {
    pub(crate) fn new() -> Machine {
        let dir = tempfile::tempdir().unwrap();
        Machine { sim: Sim::new(dir.path(), false), _dir: Arc::new(dir) }
    }

    /// The machine after its records were lost.
    pub(crate) fn without_records(&self) -> Machine {
        Machine { sim: self.sim.without_records(), _dir: self._dir.clone() }
    }

    /// Runs `work` with a daemon that lives exactly as long.
    pub(crate) fn daemon<T>(&self, work: impl AsyncFnOnce(World) -> T) -> T {
        self.daemon_watched(|_| {}, work)
    }

    /// As `daemon`; `watch` sees it before it starts.
    pub(crate) fn daemon_watched<T>(&self, watch: impl FnOnce(&World), work: impl AsyncFnOnce(World) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let sim = self.sim.clone();
        runtime.block_on(async {
            let world = World { engine: Engine::new(sim.ports()), sim };
            watch(&world);
            world.engine.start().await;
            world.rest().await;
            tokio::time::timeout(PATIENCE, work(world)).await.expect("it takes too long")
        })
    }

    /// Starts a daemon that may die while it starts; `watch` sees it before.
    #[cfg(feature = "faults")]
    pub(crate) fn start_that_dies(&self, watch: impl FnOnce(&World)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let world = World { engine: Engine::new(self.sim.ports()), sim: self.sim.clone() };
        watch(&world);
        // An error is its death.
        drop(runtime.block_on(runtime.spawn(async move { world.engine.start().await })));
    }

    /// Starts a daemon that dies after `calls` calls, at the latest when it has nothing left to do.
    pub(crate) fn dying_start(&self, calls: usize) {
        self.sim.faults.crash_after(calls);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let sim = self.sim.clone();
        runtime.block_on(async {
            let engine = Engine::new(sim.ports());
            let start = tokio::spawn({
                let engine = engine.clone();
                async move { engine.start().await }
            });
            let world = World { sim: sim.clone(), engine };
            tokio::select! {
                () = sim.faults.crashed() => {}
                () = async { if start.await.is_ok() { world.rest().await } else { std::future::pending().await } } => {}
            }
        });
        drop(runtime);
        self.sim.faults.revive();
    }
}

impl World {
    /// Does `verb` as root.
    pub(crate) async fn perform(&self, verb: impl Verb) -> Result<Output> {
        let done = self.engine.perform(&root(), verb).await;
        self.rest().await;
        done
    }

    /// Waits until nothing is under way.
    pub(crate) async fn rest(&self) {
        let mut events = self.engine.subscribe();
        let quiet = async {
            loop {
                // Tasks that have been told of an event get their turn before the jobs are looked at.
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                if self.engine.jobs().iter().all(|job| job.result.is_some()) {
                    return;
                }
                let _ = tokio::time::timeout(Duration::from_millis(20), events.recv()).await;
            }
        };
        tokio::time::timeout(PATIENCE, quiet).await.expect("it never comes to rest");
    }

    /// Waits for events until `done`.
    pub(crate) async fn until(&self, done: impl Fn(&World) -> bool) {
        let mut events = self.engine.subscribe();
        let wait = async {
            while !done(self) {
                let _ = events.recv().await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("it never happened");
    }

    pub(crate) fn state(&self) -> Arc<State> {
        self.engine.state()
    }

    /// The instance of that name.
    pub(crate) fn id(&self, name: &str) -> Option<ObjectId> {
        self.state().instance(&Default::default(), &name.parse().unwrap()).map(|instance| instance.id)
    }

    pub(crate) fn status(&self, name: &str) -> Option<Status> {
        self.id(name).map(|id| self.state().instances[&id].status)
    }

    pub(crate) fn create(&self, name: &str, start: bool) -> instance::Create {
        self.create_as(name, instance::Spec { start, ..instance::Spec::default() })
    }

    pub(crate) fn create_as(&self, name: &str, spec: instance::Spec) -> instance::Create {
        let source = instance::Source::Image("sim:empty".into());
        let random = self.engine.host().random();
        instance::Create::new(Default::default(), Some(name.parse().unwrap()), source, spec, random).unwrap()
    }

    pub(crate) async fn launch(&self, name: &str) -> ObjectId {
        let create = self.create(name, true);
        let id = create.id();
        self.perform(create).await.unwrap();
        id
    }

    /// Files of an image whose bytes are `text`.
    pub(crate) fn files(text: &str) -> ImageFiles {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.rewind().unwrap();
        ImageFiles { meta: file.into(), rootfs: None }
    }

    /// What is wrong where records and machine do not agree, or where something half made is left.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let state = self.state();
        let mut wrong = vec![];
        let mut same = |what: &str, is: BTreeSet<ObjectId>, should: BTreeSet<ObjectId>| {
            if is != should {
                wrong.push(format!("{what}: there are {is:?}, there should be {should:?}"));
            }
        };
        let of = |wanted: fn(&Instance) -> bool| {
            state.instances.values().filter(|instance| wanted(instance)).map(|instance| instance.id).collect::<BTreeSet<_>>()
        };
        let runs = |instance: &Instance| matches!(instance.status, Status::Running | Status::Frozen);
        let sim = &self.sim;
        same(
            "unrested instances",
            of(|i| !matches!(i.status, Status::Stopped | Status::Running | Status::Frozen)),
            BTreeSet::new(),
        );
        // What is in the trash lies where it lay.
        let trashed = |kinds: &[&str]| {
            let of = state.trash.values().filter(|one| kinds.contains(&one.what.kind()));
            of.map(|one| one.id).collect::<BTreeSet<_>>()
        };
        let with = |kind: &str| {
            let of = state.trash.values().filter(|one| one.what.kind() == kind);
            of.flat_map(|one| one.what.snapshots()).collect::<BTreeSet<_>>()
        };
        same("roots", sim.pools.roots().into_iter().collect(), &of(|_| true) | &trashed(&["instance"]));
        let mut roots = sim.pools.roots();
        roots.sort();
        same("roots on two pools", roots.windows(2).filter(|two| two[0] == two[1]).map(|two| two[0]).collect(), BTreeSet::new());
        let alive: BTreeSet<ObjectId> = state.snapshots.keys().map(|(_, id)| *id).collect();
        same("snapshots", sim.pools.snapshots(), &(&alive | &trashed(&["snapshot"])) | &with("instance"));
        let alive: BTreeSet<ObjectId> = state.volumes.keys().copied().collect();
        same("volumes", sim.pools.volumes().into_iter().collect(), &alive | &trashed(&["volume"]));
        let mut volumes = sim.pools.volumes();
        volumes.sort();
        let twice = volumes.windows(2).filter(|two| two[0] == two[1]).map(|two| two[0]).collect();
        same("volumes on two pools", twice, BTreeSet::new());
        let alive: BTreeSet<ObjectId> = state.volume_snapshots.keys().map(|(_, id)| *id).collect();
        same("snapshots of volumes", sim.pools.volume_snapshots(), &(&alive | &trashed(&["volume-snapshot"])) | &with("volume"));
        same("guests", sim.launcher.running().into_iter().collect(), of(runs));
        same("interfaces", sim.networks.joined(), of(runs));
        same("live facts", state.instances.keys().copied().filter(|id| self.engine.live(*id).is_some()).collect(), of(runs));
        let defined = |kind: &str| sim.definitions.of(kind).into_iter().collect::<BTreeSet<_>>();
        let forgotten = |kind: &str, has: &dyn Fn(&ObjectId) -> bool| defined(kind).into_iter().filter(|id| !has(id)).collect();
        same("definitions of no network", forgotten("network", &|id| state.networks.contains_key(id)), BTreeSet::new());
        same("definitions of no profile", forgotten("profile", &|id| state.profiles.contains_key(id)), BTreeSet::new());
        let has = |id: &ObjectId| state.volume_snapshots.keys().any(|(_, known)| known == id) || state.trash.contains_key(id);
        same("definitions of no snapshot of a volume", forgotten("volumesnapshot", &has), BTreeSet::new());
        same(
            "definitions of no volume",
            forgotten("volume", &|id| state.volumes.contains_key(id) || state.trash.contains_key(id)),
            BTreeSet::new(),
        );
        same("pools", sim.pools.there().into_iter().collect(), state.pools.keys().copied().collect());
        let own = |pool: &&Arc<Pool>| self.engine.ports().filesystems.is_own(pool);
        let brought = state.pools.values().filter(own).map(|pool| pool.id).collect();
        same("file systems of pools", sim.filesystems.all().into_keys().collect(), brought);
        // Of one whose change waits to be confirmed, a failed attempt to undo that may have left either.
        let settled = |id: &ObjectId| state.networks.get(id).is_none_or(|network| network.checkpoint.is_none());
        let are_up = sim.networks.are_up().into_iter().filter(settled).collect();
        same("networks", are_up, state.networks.keys().copied().filter(settled).collect());
        for (id, config) in sim.networks.configs() {
            let Some(network) = state.networks.get(&id) else { continue };
            if network.config != config && network.before().is_none_or(|before| before.config != config) {
                wrong.push(format!("network {} has the keys {config:?}, it should have {:?}", network.name, network.config));
            }
        }
        let carried: BTreeSet<&str> = state.networks.values().flat_map(|network| network.acls()).collect();
        let in_force = state.acls.values().filter(|acl| carried.contains(acl.name.as_str()));
        let rules: BTreeMap<ObjectId, usize> = in_force.map(|acl| (acl.id, acl.ingress.len() + acl.egress.len())).collect();
        if sim.networks.rules() != rules {
            wrong.push(format!("rules in force: there are {:?}, there should be {rules:?}", sim.networks.rules()));
        }
        let forwards = state.networks.values().flat_map(|network| network.diversions()).map(|one| (one.listen, one)).collect();
        if sim.networks.forwards() != forwards {
            wrong.push(format!("forwards in force: there are {:?}, there should be {forwards:?}", sim.networks.forwards()));
        }
        for instance in state.instances.values().filter(|instance| runs(instance)) {
            let devices = instance::expand(&state, instance).devices;
            let wanted: BTreeSet<String> =
                devices.iter().filter(|(_, device)| device.kind() == "nic").map(|(name, _)| name.to_string()).collect();
            let spec = sim.launcher.spec(instance.id);
            let has: BTreeSet<String> = spec.iter().flat_map(|spec| &spec.nics).map(|nic| nic.name.clone()).collect();
            if has != wanted {
                wrong.push(format!("interfaces of {}: there are {has:?}, there should be {wanted:?}", instance.name));
            }
        }
        let open: BTreeSet<(ObjectId, String)> =
            sim.proxies.open().into_iter().map(|plan| (plan.instance, plan.device.to_string())).collect();
        let proxies = |instance: &Arc<Instance>| {
            let devices = instance::expand(&state, instance).devices;
            let names = devices.into_iter().filter(|(_, device)| device.kind() == "proxy").map(|(name, _)| name.to_string());
            names.map(|name| (instance.id, name)).collect::<Vec<_>>()
        };
        let wanted: BTreeSet<_> = state.instances.values().filter(|instance| runs(instance)).flat_map(proxies).collect();
        if open != wanted {
            wrong.push(format!("proxies: there are {open:?}, there should be {wanted:?}"));
        }
        let attached: BTreeSet<ObjectId> = sim.nics.attached().into_iter().map(|(id, _)| id).collect();
        if let Some(id) = attached.difference(&of(runs)).next() {
            wrong.push(format!("an interface of {id} is still attached"));
        }
        let recorded: BTreeSet<_> = state.images.values().map(|image| image.fingerprint.clone()).collect();
        let kept: BTreeSet<_> = self.engine.ports().images.kept().await.unwrap().into_iter().collect();
        if kept != recorded {
            wrong.push(format!("files of images: there are {kept:?}, there should be {recorded:?}"));
        }
        if let Some(tree) = sim.pools.trees().difference(&recorded).next() {
            wrong.push(format!("the tree of {tree} is left"));
        }
        if sim.pools.unfinished() > 0 {
            wrong.push("snapshots or roots are half made".to_owned());
        }
        if let Some((id, _)) = state.snapshots.keys().find(|(id, _)| !state.instances.contains_key(id)) {
            wrong.push(format!("a snapshot of {id} is left"));
        }
        if let Some((id, _)) = state.volume_snapshots.keys().find(|(id, _)| !state.volumes.contains_key(id)) {
            wrong.push(format!("a snapshot of volume {id} is left"));
        }
        if !state.jobs.is_empty() {
            wrong.push(format!("jobs are left: {:?}", state.jobs.values().map(|job| &job.verb).collect::<Vec<_>>()));
        }
        let ids: BTreeSet<u32> = state.instances.values().map(|instance| instance.ids.base).collect();
        if ids.len() != state.instances.len() {
            wrong.push("two instances share user ids".to_owned());
        }
        wrong
    }

    /// Asserts that there is nothing to complain of. What a failed job left is looked at a moment later.
    pub(crate) async fn is_whole(&self, when: &str) {
        let mut complaints = self.complaints().await;
        for _ in 0..100 {
            if complaints.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            self.rest().await;
            complaints = self.complaints().await;
        }
        assert!(complaints.is_empty(), "{when}:\n{}", complaints.join("\n"));
    }

    /// The records as people see them: without counters, times and the ends of runs.
    pub(crate) fn seen(&self) -> Vec<String> {
        let state = self.state();
        let instance = |instance: &Arc<Instance>| {
            let exit: Option<Exit> = None;
            let plain = Instance { status_since: 0, last_used: 0, last_exit: exit, generation: 0, ..Instance::clone(instance) };
            format!("{plain:?}")
        };
        let mut seen: Vec<String> = state.instances.values().map(instance).collect();
        seen.extend(state.snapshots.values().map(|snapshot| format!("{snapshot:?}")));
        seen.extend(state.images.values().map(|image| format!("{} {:?}", image.fingerprint, image.aliases)));
        seen.extend(state.pools.values().map(|pool| format!("{pool:?}")));
        seen.extend(state.volume_snapshots.values().map(|snapshot| format!("{snapshot:?}")));
        seen.extend(state.networks.values().map(|network| format!("{network:?}")));
        seen.push(format!("{:?}", self.sim.networks.routes()));
        seen.extend(state.acls.values().map(|acl| format!("{:?}", Acl { generation: 0, ..Acl::clone(acl) })));
        seen.extend(state.volumes.values().map(|volume| format!("{:?}", Volume { generation: 0, ..Volume::clone(volume) })));
        seen.extend(state.trash.values().map(|trashed| format!("{trashed:?}")));
        seen.extend(state.profiles.values().map(|profile| format!("{:?}", Profile { generation: 0, ..Profile::clone(profile) })));
        seen
    }
}

/// An error that stands for bad luck.
pub(crate) fn bad_luck() -> Error {
    Error::failed("bad luck")
}
