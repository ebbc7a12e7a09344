//! The names of all failpoints, found by passing them: a daemon's life is led in a simulated machine, once
//! in peace, then with an error after each point, then with its death there. Called by `lxhostd --faults`.

mod trash;
mod volumes;

use crate::{Sim, images, locked};
use lxhost_engine::network::listener::{Create, Delete, Listener, Replace};
use lxhost_engine::ports::{Caller, Exec, ImageFiles, RowKey, Store, Streams, Write};
use lxhost_engine::recover::Recover;
use lxhost_engine::{Engine, Verb, acl, image, instance, network, pool, profile, snapshot};
use lxhost_model::checkpoint::Trial;
use lxhost_model::device::{Device, Devices};
use lxhost_model::instance::ExitReason;
use lxhost_model::{Acl, Error, Forward, LoadBalancer, ObjectId, Profile, Result};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// Longest a life may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What happens at one point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Error,
    Death,
}

/// What goes wrong in a life.
struct Coming {
    point: String,
    fault: Fault,
    /// Not before this point.
    since: Option<&'static str>,
}

/// Names of points passed so far.
type Passed = Arc<Mutex<BTreeSet<String>>>;

/// Every failpoint, by name.
///
/// # Errors
/// `Failed` when there is no room for the simulation.
pub fn all() -> Result<BTreeSet<String>> {
    let place = std::env::temp_dir().join(format!("lxhostd-points-{}", std::process::id()));
    let passed = Passed::default();
    let found = (|| {
        lead(&place, None, &passed)?;
        for fault in [Fault::Error, Fault::Death] {
            // Undoing and recovering have no undoing and recovering of their own.
            let points: Vec<String> = locked(&passed).iter().filter(|point| is_onward(point)).cloned().collect();
            lead_all(&place, points.into_iter().map(|point| Coming { point, fault, since: None }).collect(), &passed)?;
        }
        // The first start of this life ends a launch, and is recovered in its name; others end a restart or a restore.
        let starts: Vec<String> = locked(&passed).iter().filter(|point| is_way_of(point, "instance.start")).cloned().collect();
        for since in ["instance.create/finished", "instance.restart/committed", "snapshot.restore/committed"] {
            let at = |point: &String| Coming { point: point.clone(), fault: Fault::Death, since: Some(since) };
            lead_all(&place, starts.iter().map(at).collect(), &passed)?;
        }
        Ok(locked(&passed).clone())
    })();
    let _ = fs::remove_dir_all(&place);
    found
}

/// Neither undoing nor recovering.
fn is_onward(point: &str) -> bool {
    !["/undo", "/recover"].iter().any(|part| point.contains(part))
}

fn is_way_of(point: &str, verb: &str) -> bool {
    is_onward(point) && point.split('/').next() == Some(verb)
}

/// Leads a life for each thing that goes wrong, on all processors.
fn lead_all(place: &Path, coming: Vec<Coming>, passed: &Passed) -> Result<()> {
    let coming = Mutex::new(coming);
    let next = || locked(&coming).pop();
    let work = |number: usize| {
        let place = place.join(number.to_string());
        std::iter::from_fn(next).try_for_each(|one| lead(&place, Some(one), passed))
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..threads).map(|number| scope.spawn(move || work(number))).collect();
        let panicked = |_| Err(Error::failed("a simulated life panicked"));
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(panicked))
    })
}

/// Leads a life in which one thing goes wrong, and notes what is passed until that has been dealt with.
fn lead(place: &Path, coming: Option<Coming>, passed: &Passed) -> Result<()> {
    let failed = |e: std::io::Error| Error::io("find failpoints", &e);
    fs::create_dir_all(place).map_err(failed)?;
    let sim = Sim::new(place, true);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        let wrong = Arc::new(Notify::new());
        let is_death = coming.as_ref().is_some_and(|coming| coming.fault == Fault::Death);
        let engine = daemon(&sim, coming, passed.clone(), wrong.clone()).await;
        let mut life = tokio::spawn(life(sim.clone(), engine.clone()));
        let late = tokio::time::sleep(PATIENCE);
        tokio::pin!(late);
        tokio::select! {
            _ = &mut life => return Ok(()),
            () = wrong.notified() => {}
            () = &mut late => return Err(Error::failed("a simulated life does not end")),
        }
        if is_death {
            rest(&daemon(&sim, None, passed.clone(), wrong).await).await;
            return Ok(());
        }
        // What comes of an error goes on by itself; nothing new begins.
        life.abort();
        tokio::select! {
            () = rest(&engine) => Ok(()),
            () = late => Err(Error::failed("a simulated error does not end")),
        }
    })
}

/// A daemon that notes the points it passes.
async fn daemon(sim: &Sim, coming: Option<Coming>, passed: Passed, wrong: Arc<Notify>) -> Engine {
    let engine = Engine::new(sim.ports());
    let coming = Mutex::new(coming);
    engine.on_points(Box::new(move |point| {
        locked(&passed).insert(point.to_owned());
        let mut coming = locked(&coming);
        if let Some(coming) = coming.as_mut().filter(|coming| coming.since == Some(point)) {
            coming.since = None;
        }
        match coming.take_if(|coming| coming.since.is_none() && coming.point == point).map(|coming| coming.fault) {
            None => Ok(None),
            Some(Fault::Error) => {
                wrong.notify_one();
                Err(Error::failed(format!("failpoint {point}")))
            }
            Some(Fault::Death) => {
                wrong.notify_one();
                // Not a panic: nobody is to be told.
                std::panic::resume_unwind(Box::new("the daemon has died"))
            }
        }
    }));
    engine.start().await;
    engine
}

/// Waits until nothing is under way.
async fn rest(engine: &Engine) {
    let mut events = engine.subscribe();
    loop {
        // Tasks that have been told of an event get their turn before the jobs are looked at.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        if engine.jobs().iter().all(|job| job.result.is_some()) {
            return;
        }
        let _ = tokio::time::timeout(Duration::from_millis(20), events.recv()).await;
    }
}

/// Everything that can be done, once. What fails is left so: it is about what is passed.
async fn life(sim: Sim, engine: Engine) {
    let create = |name: &str, source, spec| {
        let name = name.parse().ok();
        instance::Create::new(Default::default(), name, source, spec, engine.host().random()).ok()
    };
    let image = instance::Source::Image("sim:empty".into());
    let started = instance::Spec { start: true, ..Default::default() };
    let Some(launch) = create("c0", instance::Source::Image("sim:empty".into()), started) else { return };
    let id = launch.id();
    act(&engine, launch).await;
    act(&engine, instance::Delete::new(id, true)).await;
    let Some(create_one) = create("c1", image, instance::Spec::default()) else { return };
    let id = create_one.id();
    act(&engine, create_one).await;
    act(&engine, instance::Start::new(id)).await;
    exec(&engine, id).await;
    act(&engine, instance::Freeze::new(id)).await;
    act(&engine, instance::Thaw::new(id)).await;
    snapshots(&engine, id).await;
    trash::all(&engine).await;
    backups(&engine, id).await;
    moves(&engine, id).await;
    interfaces(&engine, id).await;
    disks(&engine, id).await;
    sizes(&engine, id).await;
    proxies(&engine, id).await;
    shared_interface(&engine).await;
    act(&engine, instance::Freeze::new(id)).await;
    act(&engine, instance::Stop::new(id, false, Some(5))).await;
    act(&engine, instance::Start::new(id)).await;
    act(&engine, instance::Restart::new(id, false, Some(5))).await;
    act(&engine, instance::Freeze::new(id)).await;
    act(&engine, instance::Restart::new(id, false, Some(5))).await;
    copies(&engine, id).await;
    act(&engine, instance::Start::new(id)).await;
    let _ = sim.launcher.end(id, ExitReason::Poweroff, 0);
    rest(&engine).await;
    if let Ok(kept) = "s2".parse() {
        act(&engine, snapshot::Restore::new(id, kept)).await;
    }
    let set = [("snapshots.schedule".to_owned(), "@startup".to_owned())].into();
    let change = instance::Change { set, ..Default::default() };
    if let (Ok(change), Ok(name)) = (instance::Configure::new(id, change), "c3".parse()) {
        act(&engine, change).await;
        act(&engine, instance::Rename::new(id, name)).await;
        act(&engine, instance::Start::new(id)).await;
        act(&engine, instance::Stop::new(id, true, None)).await;
    }
    images(&engine, id).await;
    rooms(&engine).await;
    acls(&engine).await;
    profiles(&engine).await;
    lost(&sim, &engine).await;
}

/// The records are lost, and made again.
async fn lost(sim: &Sim, engine: &Engine) {
    let source = instance::Source::Image("sim:empty".into());
    let spec = instance::Spec::default();
    if let Ok(create) = instance::Create::new(Default::default(), "c9".parse().ok(), source, spec, engine.host().random()) {
        act(engine, create).await;
    }
    let state = engine.state();
    let keys = state.instances.keys().map(|id| RowKey::Instance(*id));
    let keys = keys.chain(state.pools.keys().map(|id| RowKey::Pool(*id)));
    let keys = keys.chain(state.networks.keys().map(|id| RowKey::Network(*id)));
    let _ = sim.store.commit(keys.map(Write::Delete).collect()).await;
    act(engine, Recover::new(vec![])).await;
}

/// A snapshot comes, is replaced, gets another name and is restored; one goes alone, one with the instance.
async fn snapshots(engine: &Engine, id: ObjectId) {
    let (Ok(name), Ok(to)) = ("s1".parse::<lxhost_model::name::SnapshotName>(), "s2".parse()) else { return };
    for name in [Some(name.clone()), Some(name.clone()), None] {
        if let Ok(create) = snapshot::Create::new(id, name, String::new(), true, engine.host().random()) {
            act(engine, create).await;
        }
    }
    act(engine, snapshot::Rename { instance: id, name: name.clone(), to }).await;
    if let Ok(name) = "snap0".parse::<lxhost_model::name::SnapshotName>() {
        act(engine, snapshot::Restore::new(id, name.clone())).await;
        act(engine, snapshot::Delete::new(id, name)).await;
    }
}

/// A copy is brought up to date when there is another snapshot of its original.
async fn refreshed(engine: &Engine, copy: ObjectId, original: ObjectId) {
    if let Ok(take) = snapshot::Create::new(original, "s9".parse().ok(), String::new(), true, engine.host().random()) {
        act(engine, take).await;
        act(engine, instance::Refresh::new(engine.ports(), copy, instance::Original::whole(original))).await;
    }
}

/// An instance is copied while it runs, with a snapshot, and while it does not, and started then.
async fn copies(engine: &Engine, id: ObjectId) {
    for start in [false, true] {
        let source = instance::Source::Copy(instance::Original::whole(id));
        let (spec, random) = (instance::Spec { start, ..Default::default() }, engine.host().random());
        let Ok(copy) = instance::Create::new(Default::default(), "c2".parse().ok(), source, spec, random) else { return };
        let copied = copy.id();
        act(engine, copy).await;
        refreshed(engine, copied, id).await;
        act(engine, instance::Delete::new(copied, true)).await;
        act(engine, instance::Stop::new(id, true, None)).await;
    }
}

/// The instance is copied to another pool while it runs, with a snapshot, and the copy moves back.
async fn moves(engine: &Engine, id: ObjectId) {
    let Ok(other) = "other".parse::<lxhost_model::name::PoolName>() else { return };
    if let Ok(create) = pool::Create::new(engine.ports(), other.clone(), "dir", Default::default()).await {
        act(engine, create).await;
    }
    let source = instance::Source::Copy(instance::Original::whole(id));
    let spec = instance::Spec { pool: Some(other.clone()), ..Default::default() };
    if let Ok(copy) = instance::Create::new(Default::default(), "m1".parse().ok(), source, spec, engine.host().random()) {
        let copied = copy.id();
        act(engine, copy).await;
        refreshed(engine, copied, id).await;
        if let Some(back) = engine.state().instances.get(&id).map(|instance| instance.pool.clone()) {
            act(engine, instance::Move::new(engine.ports(), copied, back)).await;
        }
        act(engine, instance::Delete::new(copied, true)).await;
    }
    if let Some(there) = engine.state().pool(&other) {
        act(engine, pool::Delete::new(there.id)).await;
    }
}

/// The instance goes into a backup and an image while it runs, and comes out of the backup beside itself.
async fn backups(engine: &Engine, id: ObjectId) {
    let (Ok(to), Ok(name)) = (images::memory_file("a backup", b""), "b1".parse()) else { return };
    let Ok(from) = to.try_clone() else { return };
    act(engine, instance::Export::new(id, to, Default::default(), false, engine.host().random())).await;
    let edition = instance::Edition::default();
    if let Ok(publish) = instance::Publish::new(engine.ports(), Default::default(), id, edition) {
        act(engine, publish).await;
    }
    let root = Caller { bus_name: ":1.1".into(), uid: 0, interactive: false };
    let wanted = instance::Wanted { name: Some(name), ..Default::default() };
    if let Ok(import) = engine.read_backup(&root, Default::default(), from, wanted).await {
        let imported = import.id();
        act(engine, import).await;
        act(engine, instance::Delete::new(imported, true)).await;
    }
}

/// An interface comes, becomes another and goes while the instance runs.
async fn interfaces(engine: &Engine, id: ObjectId) {
    let nic = |kind: Option<&str>| -> Option<Devices> {
        let Some(kind) = kind else { return Some(Devices::new()) };
        let name = "eth1".parse().ok()?;
        let keys = [("type", "nic"), ("name", "eth1"), ("nictype", kind), ("parent", "eth0")];
        let keys = keys.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let device = Device::new(&name, keys).ok()?;
        Some([(name, device)].into())
    };
    for kind in [Some("bridged"), Some("macvlan"), None] {
        let change = instance::Change { devices: nic(kind), ..Default::default() };
        if let Ok(change) = instance::Configure::new(id, change) {
            act(engine, change).await;
        }
    }
}

/// An interface and a disk come with the profile of an instance that runs, and go with it.
async fn shared_interface(engine: &Engine) {
    let Some(profile) = engine.state().profiles.values().next().cloned() else { return };
    let Ok(name) = "eth2".parse() else { return };
    let keys = [("type", "nic"), ("nictype", "macvlan"), ("parent", "eth0")];
    let Ok(device) = Device::new(&name, keys.map(|(key, value)| (key.to_owned(), value.to_owned())).into()) else { return };
    let mut more = profile.devices.clone();
    more.insert(name, device);
    let Ok(name) = "shared".parse() else { return };
    let keys = [("type", "disk"), ("source", "tmpfs:"), ("path", "/opt")];
    let Ok(device) = Device::new(&name, keys.map(|(key, value)| (key.to_owned(), value.to_owned())).into()) else { return };
    more.insert(name, device);
    for devices in [more, profile.devices.clone()] {
        let (id, config) = (profile.id, profile.config.clone());
        act(engine, profile::Replace { id, config, devices, description: None, expected: None }).await;
    }
}

/// A proxy comes and becomes another; it is there at the next start, and is closed with the run.
async fn proxies(engine: &Engine, id: ObjectId) {
    let Ok(name) = "web".parse() else { return };
    for port in [80, 81] {
        let keys = [("type", "proxy".to_owned()), ("listen", format!("tcp:0.0.0.0:{port}")), ("connect", "unix:/x".to_owned())];
        let keys = keys.map(|(key, value)| (key.to_owned(), value)).into();
        let Ok(device) = Device::new(&name, keys) else { return };
        let change = instance::Change { devices: Some([(name.clone(), device)].into()), ..Default::default() };
        if let Ok(change) = instance::Configure::new(id, change) {
            act(engine, change).await;
        }
    }
}

/// A disk comes, becomes another and goes while the instance runs.
async fn disks(engine: &Engine, id: ObjectId) {
    let disk = |path: Option<&str>| -> Option<Devices> {
        let Some(path) = path else { return Some(Devices::new()) };
        let name = "scratch".parse().ok()?;
        let keys = [("type", "disk"), ("source", "tmpfs:"), ("path", path)];
        let device = Device::new(&name, keys.map(|(key, value)| (key.to_owned(), value.to_owned())).into()).ok()?;
        Some([(name, device)].into())
    };
    for path in [Some("/srv"), Some("/mnt"), None] {
        let change = instance::Change { devices: disk(path), ..Default::default() };
        if let Ok(change) = instance::Configure::new(id, change) {
            act(engine, change).await;
        }
    }
}

/// The root of an instance, and then that of a profile, which it has, get a size; so does a new instance, a copy of it on
/// another pool, and what comes out of a backup of it.
async fn sizes(engine: &Engine, id: ObjectId) {
    let root = |size: &str| -> Option<Devices> {
        let name = "root".parse().ok()?;
        let keys = [("type", "disk"), ("path", "/"), ("pool", "default"), ("size", size)];
        let device = Device::new(&name, keys.map(|(key, value)| (key.to_owned(), value.to_owned())).into()).ok()?;
        Some([(name, device)].into())
    };
    for devices in [root("1GiB"), Some(Devices::new())] {
        let change = instance::Change { devices, ..Default::default() };
        if let Ok(change) = instance::Configure::new(id, change) {
            act(engine, change).await;
        }
    }
    let (Some(more), Some(profile)) = (root("1GiB"), engine.state().profiles.values().next().cloned()) else { return };
    for devices in [profile.devices.clone().into_iter().chain(more.clone()).collect(), profile.devices.clone()] {
        let (id, config) = (profile.id, profile.config.clone());
        act(engine, profile::Replace { id, config, devices, description: None, expected: None }).await;
    }
    let (source, random) = (instance::Source::Image("sim:empty".into()), engine.host().random());
    let spec = instance::Spec { devices: more, ..Default::default() };
    if let Ok(create) = instance::Create::new(Default::default(), "q1".parse().ok(), source, spec, random) {
        let id = create.id();
        act(engine, create).await;
        moves(engine, id).await;
        backups(engine, id).await;
        act(engine, instance::Delete::new(id, true)).await;
    }
}

async fn act(engine: &Engine, verb: impl Verb) {
    let root = Caller { bus_name: ":1.1".into(), uid: 0, interactive: false };
    let _ = engine.perform(&root, verb).await;
    rest(engine).await;
}

async fn exec(engine: &Engine, id: ObjectId) {
    let root = Caller { bus_name: ":1.1".into(), uid: 0, interactive: false };
    let nothing = || File::options().read(true).write(true).open("/dev/null").map(Into::into);
    let (Ok(stdin), Ok(stdout), Ok(stderr)) = (nothing(), nothing(), nothing()) else { return };
    let exec = Exec { argv: vec!["true".into()], ..Default::default() };
    let _ = engine.exec(&root, id, exec, Streams { stdin, stdout, stderr }, true).await;
}

/// An image comes, is renamed and goes; the instance made of another goes with it.
async fn images(engine: &Engine, id: ObjectId) {
    let Ok(meta) = images::memory_file("an image", b"image") else { return };
    let (files, random) = (ImageFiles { meta, rootfs: None }, engine.host().random());
    if let Ok(import) = image::Import::new(Default::default(), files, vec![], Default::default(), random) {
        act(engine, import).await;
    }
    let known: Vec<ObjectId> = engine.state().images.keys().copied().collect();
    for image in known {
        if let Ok(alias) = "other".parse::<lxhost_model::name::ImageAlias>() {
            act(engine, image::AddAlias { id: image, alias: alias.clone() }).await;
            act(engine, image::RemoveAlias { id: image, alias }).await;
        }
        act(engine, image::Delete::new(image)).await;
    }
    act(engine, instance::Delete::new(id, false)).await;
}

/// A pool and a network come, change and go.
async fn rooms(engine: &Engine) {
    let Ok(name) = "p1".parse() else { return };
    if let Ok(create) = pool::Create::new(engine.ports(), name, "dir", Default::default()).await {
        let id = create.id();
        act(engine, create).await;
        volumes::all(engine, id).await;
        let config = engine.state().pools.get(&id).map(|pool| pool.config.clone()).unwrap_or_default();
        act(engine, pool::Replace { id, config, description: None, expected: None }).await;
        act(engine, pool::Delete::new(id)).await;
    }
    grown(engine).await;
    let Ok(name) = "n1".parse() else { return };
    if let Ok(create) = network::Create::new(engine.ports(), Default::default(), name, "bridge", Default::default()) {
        let id = create.id();
        act(engine, create).await;
        let config = engine.state().networks.get(&id).map(|network| network.config.clone()).unwrap_or_default();
        act(engine, network::Replace { id, config, description: None, expected: None }).await;
        tried(engine, id).await;
        listens::<Forward>(engine, id).await;
        listens::<LoadBalancer>(engine, id).await;
        if let Ok(other) = "n3".parse() {
            act(engine, network::Rename::new(id, other)).await;
        }
        act(engine, network::Delete::new(id)).await;
    }
}

/// A pool comes with a file of its own, grows and goes.
async fn grown(engine: &Engine) {
    let Ok(name) = "p2".parse() else { return };
    let size = |size: &str| [("size".to_owned(), size.to_owned())].into();
    if let Ok(create) = pool::Create::new(engine.ports(), name, "btrfs", size("1GiB")).await {
        let id = create.id();
        act(engine, create).await;
        let mut config = engine.state().pools.get(&id).map(|pool| pool.config.clone()).unwrap_or_default();
        config.extend::<lxhost_model::config::Config>(size("2GiB"));
        act(engine, pool::Replace { id, config, description: None, expected: None }).await;
        act(engine, pool::Delete::new(id)).await;
    }
}

/// A change of a network is undone, and done again and confirmed.
async fn tried(engine: &Engine, id: ObjectId) {
    let Ok(trial) = Trial::of_usec(3_600_000_000) else { return };
    let config = engine.state().networks.get(&id).map(|network| network.config.clone()).unwrap_or_default();
    for keep in [false, true] {
        let replace = network::Replace { id, config: config.clone(), description: None, expected: None };
        act(engine, network::Tried::new(replace, trial)).await;
        match keep {
            false => act(engine, network::RollBack::new(id)).await,
            true => act(engine, network::Confirm::new(id)).await,
        }
    }
    act(engine, network::Tried::new(network::Delete::new(id), trial)).await;
    act(engine, network::RollBack::new(id)).await;
}

/// A forward or load balancer of a network comes, changes and goes.
async fn listens<L: Listener + Default>(engine: &Engine, id: ObjectId) {
    let listen = Ipv4Addr::new(192, 0, 2, 1).into();
    act(engine, Create { id, listen, listener: L::default() }).await;
    act(engine, Replace { id, listen, listener: L::default(), expected: None }).await;
    act(engine, Delete::<L>::new(id, listen)).await;
}

/// An ACL comes, gets another name, changes while a network carries it, and goes.
async fn acls(engine: &Engine) {
    let (Ok(name), Ok(second), Ok(carrier)) = ("a1".parse(), "a2".parse(), "n2".parse()) else { return };
    let (id, project) = (ObjectId::from_random(engine.host().random()), Default::default());
    let (ingress, egress) = (vec![], vec![]);
    let (description, config) = (String::new(), Default::default());
    let acl = Acl { id, project, name, description, config, ingress, egress, created: 0, generation: 0 };
    let Ok(create) = acl::Create::new(acl) else { return };
    act(engine, create).await;
    act(engine, acl::Rename { id, name: second }).await;
    let keys = [("security.acls".to_owned(), "a2".to_owned())].into();
    if let Ok(create) = network::Create::new(engine.ports(), Default::default(), carrier, "bridge", keys) {
        let network = create.id();
        act(engine, create).await;
        let (config, ingress, egress) = (Default::default(), vec![], vec![]);
        act(engine, acl::Replace { id, config, ingress, egress, description: None, expected: None }).await;
        act(engine, network::Delete::new(network)).await;
    }
    act(engine, acl::Delete::new(id)).await;
}

/// A profile comes, changes and goes.
async fn profiles(engine: &Engine) {
    let Ok(name) = "p1".parse() else { return };
    let (id, project) = (ObjectId::from_random(engine.host().random()), Default::default());
    let (description, config, devices) = (String::new(), Default::default(), Default::default());
    let profile = Profile { id, project, name, description, config, devices, created: 0, generation: 0 };
    if let Ok(create) = profile::Create::new(profile) {
        act(engine, create).await;
        let (config, devices) = (Default::default(), Default::default());
        act(engine, profile::Replace { id, config, devices, description: None, expected: None }).await;
        act(engine, profile::Delete::new(id)).await;
    }
}
