//! Objects on the bus, kept in step with the engine's events by one task: added after their commit,
//! changed with one `PropertiesChanged` each, removed when their record is gone.

use super::introspect::{Introspect, Node};
use super::job::value;
use super::log_control::LogControl;
use super::manager::{Manager, ManagerSignals};
use super::network::NetworkSignals;
use super::snapshots::{Of, SnapshotsSignals};
use super::trash::Trash;
use super::{Bus, LogLevel, acl, exec, files, guest, image, instance, job, network, pool, profile, snapshots, volume};
use lxhost_dbus::path;
use lxhost_engine::ports::{RowKey, State};
use lxhost_engine::{Engine, Event, Result};
use lxhost_model::ObjectId;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{broadcast, mpsc, oneshot};
use zbus::Connection;
use zbus::fdo::Properties;
use zbus::names::InterfaceName;
use zbus::object_server::SignalEmitter;
use zbus::wire::OwnedVariant;

const INTROSPECTABLE: &str = "org.freedesktop.DBus.Introspectable";
/// Questions for the task that may wait.
const QUEUE: usize = 256;

type Question = oneshot::Sender<()>;

/// The handle of the publishing task.
#[derive(Clone)]
pub(super) struct Publisher {
    engine: Engine,
    connection: Connection,
    children: Arc<Mutex<HashMap<&'static str, BTreeSet<String>>>>,
    questions: mpsc::Sender<Question>,
    queue: Arc<Mutex<Option<mpsc::Receiver<Question>>>>,
}

/// The path of an object by the id of its record.
pub(super) fn object_path(state: &State, id: ObjectId) -> Option<String> {
    let image = || state.images.get(&id).map(|image| path::image(&image.fingerprint));
    let instance = state.instances.contains_key(&id).then(|| path::instance(id));
    let network = state.networks.contains_key(&id).then(|| path::network(id));
    let acl = state.acls.contains_key(&id).then(|| path::acl(id));
    let profile = state.profiles.contains_key(&id).then(|| path::profile(id));
    let pool = state.pools.contains_key(&id).then(|| path::pool(id));
    let volume = state.volumes.contains_key(&id).then(|| path::volume(id));
    instance.or_else(image).or(network).or(acl).or(profile).or(pool).or(volume)
}

impl Publisher {
    pub(super) fn new(engine: Engine, connection: Connection) -> Self {
        let (questions, queue) = mpsc::channel(QUEUE);
        let queue = Arc::new(Mutex::new(Some(queue)));
        Publisher { engine, connection, children: Arc::default(), questions, queue }
    }

    /// Puts everything on the bus, then keeps it in step.
    pub(super) async fn start(&self, bus: &Bus, log: LogLevel) -> zbus::Result<()> {
        let events = self.engine.subscribe();
        let server = self.connection.object_server();
        let manager = Manager { bus: bus.clone() };
        let trash = Trash { bus: bus.clone() };
        server.at(path::MANAGER, manager.clone()).await?;
        server.at(path::MANAGER, trash.clone()).await?;
        server.at("/org/freedesktop/LogControl1", LogControl { bus: bus.clone(), log }).await?;
        self.flatten("/", Node::Above(&["org"])).await?;
        self.flatten("/org", Node::Above(&["freedesktop", "lxhost1"])).await?;
        self.flatten(path::MANAGER, Node::Manager(manager, trash)).await?;
        for collection in path::COLLECTIONS {
            self.flatten(&format!("{}/{collection}", path::MANAGER), Node::Collection(collection)).await?;
        }
        let state = self.engine.state();
        for key in keys(&state) {
            self.add(bus, &state, key).await?;
        }
        // Commands that outlived the last daemon: their callers are waiting for this path.
        for exec in self.engine.execs() {
            self.exec(bus, exec.session).await.map_err(|e| zbus::Error::Failure(e.message))?;
        }
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(queue) = queue {
            tokio::spawn(follow(self.clone(), bus.clone(), events, queue));
        }
        Ok(())
    }

    /// Replaces the recursive introspection of a node by that of one level.
    async fn flatten(&self, at: &str, node: Node) -> zbus::Result<()> {
        let server = self.connection.object_server();
        let name = InterfaceName::from_static_str_unchecked(INTROSPECTABLE);
        // A node without interfaces has nothing to remove.
        let _ = server.remove_named(at, name).await;
        server.at(at, Introspect { node, publisher: self.clone() }).await.map(drop)
    }

    /// Names of the objects in a collection.
    pub(super) fn children(&self, collection: &str) -> Vec<String> {
        let children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        children.get(collection).map(|names| names.iter().cloned().collect()).unwrap_or_default()
    }

    /// Waits until everything that has happened so far is on the bus.
    pub(super) async fn settled(&self) {
        let (answer, answered) = oneshot::channel();
        if self.questions.send(answer).await.is_ok() {
            // The task ends with the connection only.
            let _ = answered.await;
        }
    }

    /// Puts a job on the bus now, so that its path is valid in the reply that names it.
    pub(super) async fn job(&self, bus: &Bus, id: u32) -> Result<String> {
        let path = path::job(id);
        let object = job::Job { bus: bus.clone(), id };
        self.connection
            .object_server()
            .at(path.as_str(), object)
            .await
            .map_err(|e| lxhost_engine::Error::failed(e.to_string()))?;
        self.remember("job", id.to_string());
        Ok(path)
    }

    /// Puts a command on the bus now, as [`Publisher::job`] does.
    pub(super) async fn exec(&self, bus: &Bus, session: u32) -> Result<String> {
        let path = path::exec(session);
        let object = exec::Exec { bus: bus.clone(), session };
        self.connection
            .object_server()
            .at(path.as_str(), object)
            .await
            .map_err(|e| lxhost_engine::Error::failed(e.to_string()))?;
        self.remember("exec", session.to_string());
        Ok(path)
    }

    fn remember(&self, collection: &'static str, name: String) {
        self.children.lock().unwrap_or_else(PoisonError::into_inner).entry(collection).or_default().insert(name);
    }

    fn forget(&self, collection: &'static str, name: &str) {
        if let Some(names) = self.children.lock().unwrap_or_else(PoisonError::into_inner).get_mut(collection) {
            names.remove(name);
        }
    }

    async fn add(&self, bus: &Bus, state: &State, key: RowKey) -> zbus::Result<()> {
        let server = self.connection.object_server();
        let Some((collection, name)) = place(state, key) else { return Ok(()) };
        let at = format!("{}/{collection}/{name}", path::MANAGER);
        let bus = bus.clone();
        match key {
            RowKey::Instance(id) => {
                server.at(at.as_str(), guest::Guest { bus: bus.clone(), id }).await?;
                server.at(at.as_str(), snapshots::Snapshots { bus: bus.clone(), of: Of::Instance(id) }).await?;
                server.at(at.as_str(), instance::Instance { bus, id }).await?;
            }
            RowKey::Image(id) => drop(server.at(at.as_str(), image::Image { bus, id }).await?),
            RowKey::Network(id) => drop(server.at(at.as_str(), network::Network { bus, id }).await?),
            RowKey::Acl(id) => drop(server.at(at.as_str(), acl::Acl { bus, id }).await?),
            RowKey::Profile(id) => drop(server.at(at.as_str(), profile::Profile { bus, id }).await?),
            RowKey::Pool(id) => drop(server.at(at.as_str(), pool::Pool { bus, id }).await?),
            RowKey::Volume(id) => {
                server.at(at.as_str(), snapshots::Snapshots { bus: bus.clone(), of: Of::Volume(id) }).await?;
                server.at(at.as_str(), files::Files { bus: bus.clone(), volume: id }).await?;
                server.at(at.as_str(), volume::Volume { bus, id }).await?;
            }
            RowKey::Snapshot(..) | RowKey::VolumeSnapshot(..) | RowKey::Trashed(_) | RowKey::Job(_) => return Ok(()),
        }
        self.remember(collection, name);
        Ok(())
    }

    async fn remove(&self, before: &State, key: RowKey) -> zbus::Result<()> {
        let server = self.connection.object_server();
        let Some((collection, name)) = place(before, key) else { return Ok(()) };
        let at = format!("{}/{collection}/{name}", path::MANAGER);
        match key {
            RowKey::Instance(_) => {
                server.remove::<guest::Guest, _>(at.as_str()).await?;
                server.remove::<snapshots::Snapshots, _>(at.as_str()).await?;
                server.remove::<instance::Instance, _>(at.as_str()).await?;
            }
            RowKey::Image(_) => drop(server.remove::<image::Image, _>(at.as_str()).await?),
            RowKey::Network(_) => drop(server.remove::<network::Network, _>(at.as_str()).await?),
            RowKey::Acl(_) => drop(server.remove::<acl::Acl, _>(at.as_str()).await?),
            RowKey::Profile(_) => drop(server.remove::<profile::Profile, _>(at.as_str()).await?),
            RowKey::Pool(_) => drop(server.remove::<pool::Pool, _>(at.as_str()).await?),
            RowKey::Volume(_) => {
                server.remove::<snapshots::Snapshots, _>(at.as_str()).await?;
                server.remove::<files::Files, _>(at.as_str()).await?;
                server.remove::<volume::Volume, _>(at.as_str()).await?;
            }
            RowKey::Snapshot(..) | RowKey::VolumeSnapshot(..) | RowKey::Trashed(_) | RowKey::Job(_) => return Ok(()),
        }
        self.forget(collection, &name);
        Ok(())
    }

    /// Removes the objects of what is there no more.
    async fn prune(&self, state: &State) -> zbus::Result<()> {
        let mut there: HashMap<&str, BTreeSet<String>> = HashMap::new();
        for (collection, name) in keys(state).into_iter().filter_map(|key| place(state, key)) {
            there.entry(collection).or_default().insert(name);
        }
        there.insert("job", self.engine.jobs().iter().map(|job| job.id.to_string()).collect());
        there.insert("exec", self.engine.execs().iter().map(|exec| exec.session.to_string()).collect());
        let server = self.connection.object_server();
        for collection in path::COLLECTIONS {
            let left = there.remove(collection).unwrap_or_default();
            for name in self.children(collection).into_iter().filter(|name| !left.contains(name)) {
                let at = format!("{}/{collection}/{name}", path::MANAGER);
                for interface in interfaces(collection) {
                    server.remove_named(at.as_str(), InterfaceName::from_static_str_unchecked(interface)).await?;
                }
                self.forget(collection, &name);
            }
        }
        Ok(())
    }

    /// One `PropertiesChanged` for everything that changed on an object.
    async fn changed(
        &self,
        at: String,
        interface: &'static str,
        changed: HashMap<&'static str, OwnedVariant>,
    ) -> zbus::Result<()> {
        if changed.is_empty() {
            return Ok(());
        }
        let emitter = SignalEmitter::new(&self.connection, at)?;
        let name = InterfaceName::from_static_str_unchecked(interface);
        let changed = changed.iter().map(|(key, value)| (*key, (**value).try_clone())).map(|(key, value)| Ok((key, value?)));
        let changed = changed.collect::<zbus::Result<HashMap<_, _>>>()?;
        Properties::properties_changed(&emitter, name, changed, Cow::Borrowed(&[])).await
    }

    async fn committed(&self, bus: &Bus, before: &State, after: &State, key: RowKey) -> zbus::Result<()> {
        match (place(before, key).is_some(), place(after, key).is_some()) {
            (false, true) => self.add(bus, after, key).await?,
            (true, false) => self.remove(before, key).await?,
            (true, true) => self.updated(before, after, key).await?,
            (false, false) => {}
        }
        if let RowKey::Snapshot(instance, id) = key {
            self.snapshot(before, after, (instance, id)).await?;
        }
        if let RowKey::VolumeSnapshot(volume, id) = key
            && let Some((name, what)) = snapshots::change_of_volume(before, after, (volume, id))
            && after.volumes.contains_key(&volume)
        {
            SignalEmitter::new(&self.connection, path::volume(volume))?.changed(&name, what).await?;
        }
        if let RowKey::Instance(id) = key {
            self.announce(before, after, id).await?;
        }
        Ok(())
    }

    async fn updated(&self, before: &State, after: &State, key: RowKey) -> zbus::Result<()> {
        let Some((collection, name)) = place(after, key) else { return Ok(()) };
        let at = format!("{}/{collection}/{name}", path::MANAGER);
        let failed = |e: lxhost_engine::Error| zbus::Error::Failure(e.message);
        match key {
            RowKey::Instance(id) => {
                let changed = instance::changes(before, after, id, self.engine.live(id).as_ref()).map_err(failed)?;
                self.changed(at, "org.lxhost1.Instance", changed).await
            }
            RowKey::Image(id) => {
                let changed = image::changes(before, after, id).map_err(failed)?;
                self.changed(at, "org.lxhost1.Image", changed).await
            }
            RowKey::Acl(id) => {
                let changed = acl::changes(before, after, id).map_err(failed)?;
                self.changed(at, "org.lxhost1.ACL", changed).await
            }
            RowKey::Profile(id) => {
                let changed = profile::changes(before, after, id).map_err(failed)?;
                self.changed(at, "org.lxhost1.Profile", changed).await
            }
            RowKey::Network(id) => {
                let changed = network::changes(&self.engine, before, after, id).map_err(failed)?;
                self.changed(at, "org.lxhost1.Network", changed).await
            }
            RowKey::Pool(id) => {
                let changed = pool::changes(before, after, id).map_err(failed)?;
                self.changed(at, "org.lxhost1.Pool", changed).await
            }
            RowKey::Volume(id) => {
                let changed = volume::changes(before, after, id).map_err(failed)?;
                self.changed(at, "org.lxhost1.Volume", changed).await
            }
            RowKey::Snapshot(..) | RowKey::VolumeSnapshot(..) | RowKey::Trashed(_) | RowKey::Job(_) => Ok(()),
        }
    }

    /// What happened to a snapshot, and how many there are now.
    async fn snapshot(&self, before: &State, after: &State, key: (ObjectId, ObjectId)) -> zbus::Result<()> {
        let Some((name, what)) = snapshots::change(before, after, key) else { return Ok(()) };
        // With the instance goes its object.
        if !after.instances.contains_key(&key.0) {
            return Ok(());
        }
        let at = path::instance(key.0);
        SignalEmitter::new(&self.connection, at.clone())?.changed(&name, what).await?;
        let (was, is) = (instance::snapshot_count(before, key.0), instance::snapshot_count(after, key.0));
        let count = value(is).map_err(|e| zbus::Error::Failure(e.message))?;
        let changed = if was == is { HashMap::new() } else { HashMap::from([("SnapshotCount", count)]) };
        self.changed(at, "org.lxhost1.Instance", changed).await
    }

    /// `InstanceStateChanged`, for clients that follow everything with one match rule.
    async fn announce(&self, before: &State, after: &State, id: ObjectId) -> zbus::Result<()> {
        let (old, new) = (before.instances.get(&id), after.instances.get(&id));
        let Some(instance) = new.or(old) else { return Ok(()) };
        let word = |record: Option<&Arc<lxhost_model::Instance>>| record.map_or("", |record| record.status.as_str());
        let (was, is) = (word(old), word(new));
        if was == is {
            return Ok(());
        }
        let reason =
            new.and_then(|new| new.last_exit.as_ref()).filter(|_| is == "stopped").map_or("", |exit| exit.reason.as_str());
        let path = zbus::wire::OwnedObjectPath::try_from(path::instance(id))?;
        let emitter = SignalEmitter::new(&self.connection, path::MANAGER)?;
        emitter
            .instance_state_changed(path.into_inner(), instance.project.as_str(), instance.name.as_str(), was, is, reason)
            .await
    }

    async fn handle(&self, bus: &Bus, event: Event) -> zbus::Result<()> {
        match event {
            Event::Committed { before, after, keys } => {
                let mut seen = BTreeSet::new();
                for key in keys.into_iter().filter(|key| seen.insert(*key)) {
                    self.committed(bus, &before, &after, key).await?;
                }
                Ok(())
            }
            Event::Live(id) => {
                let state = self.engine.state();
                let failed = |e: lxhost_engine::Error| zbus::Error::Failure(e.message);
                let Some(record) = state.instances.get(&id) else { return Ok(()) };
                let changed = instance::live_properties(record, self.engine.live(id).as_ref()).map_err(failed)?;
                self.changed(path::instance(id), "org.lxhost1.Instance", changed).await
            }
            Event::Lease(lease) => {
                let emitter = SignalEmitter::new(&self.connection, path::network(lease.network))?;
                emitter.lease_changed(&lease.mac, &lease.address.to_string(), lease.what).await
            }
            Event::JobNew(id) => self.job_new(bus, id).await,
            Event::JobProgress(id) => self.job_progress(id).await,
            Event::JobEnded(id) => self.job_ended(id).await,
            Event::JobForgotten(id) => {
                self.forget("job", &id.to_string());
                self.connection.object_server().remove::<job::Job, _>(path::job(id)).await.map(drop)
            }
            Event::ExecNew(session) => self.exec(bus, session).await.map(drop).map_err(|e| zbus::Error::Failure(e.message)),
            Event::ExecEnded(session) => {
                let Ok(view) = self.engine.exec_view(session) else { return Ok(()) };
                let changed = exec::ended(&view).map_err(|e| zbus::Error::Failure(e.message))?;
                self.changed(path::exec(session), "org.lxhost1.Exec", changed).await
            }
            Event::ExecForgotten(session) => {
                self.forget("exec", &session.to_string());
                self.connection.object_server().remove::<exec::Exec, _>(path::exec(session)).await.map(drop)
            }
        }
    }

    async fn job_new(&self, bus: &Bus, id: u32) -> zbus::Result<()> {
        let Ok(view) = self.engine.job(id) else { return Ok(()) };
        let path = self.job(bus, id).await.map_err(|e| zbus::Error::Failure(e.message))?;
        let object = view.object.and_then(|object| object_path(&self.engine.state(), object));
        let objects = object.map(zbus::wire::OwnedObjectPath::try_from).transpose()?.map(|path| path.into_inner());
        let path = zbus::wire::OwnedObjectPath::try_from(path)?;
        let emitter = SignalEmitter::new(&self.connection, path::MANAGER)?;
        emitter.job_new(id, path.into_inner(), view.verb, objects.into_iter().collect()).await
    }

    async fn job_progress(&self, id: u32) -> zbus::Result<()> {
        let Ok(view) = self.engine.job(id) else { return Ok(()) };
        let failed = |e: lxhost_engine::Error| zbus::Error::Failure(e.message);
        let changed = HashMap::from([
            ("State", value(view.state.as_str()).map_err(failed)?),
            ("Phase", value(view.phase.as_str()).map_err(failed)?),
            ("Progress", value(view.progress).map_err(failed)?),
        ]);
        self.changed(path::job(id), "org.lxhost1.Job", changed).await
    }

    async fn job_ended(&self, id: u32) -> zbus::Result<()> {
        let Ok(view) = self.engine.job(id) else { return Ok(()) };
        let Some(result) = &view.result else { return Ok(()) };
        let failed = |e: lxhost_engine::Error| zbus::Error::Failure(e.message);
        let changed =
            HashMap::from([("State", value("done").map_err(failed)?), ("Result", value(result.as_str()).map_err(failed)?)]);
        self.changed(path::job(id), "org.lxhost1.Job", changed).await?;
        let error = match result {
            lxhost_model::job::JobResult::Failed(error) => error.kind.dbus_name(),
            _ => "",
        };
        let path = zbus::wire::OwnedObjectPath::try_from(path::job(id))?;
        let emitter = SignalEmitter::new(&self.connection, path::MANAGER)?;
        emitter.job_removed(id, path.into_inner(), result.as_str(), error).await
    }
}

/// Interfaces of the objects in a collection.
fn interfaces(collection: &str) -> &'static [&'static str] {
    match collection {
        "instance" => &["org.lxhost1.Guest", "org.lxhost1.Snapshots", "org.lxhost1.Instance"],
        "image" => &["org.lxhost1.Image"],
        "network" => &["org.lxhost1.Network"],
        "acl" => &["org.lxhost1.ACL"],
        "profile" => &["org.lxhost1.Profile"],
        "pool" => &["org.lxhost1.Pool"],
        "volume" => &["org.lxhost1.Snapshots", "org.lxhost1.Files", "org.lxhost1.Volume"],
        "job" => &["org.lxhost1.Job"],
        "exec" => &["org.lxhost1.Exec"],
        _ => &[],
    }
}

fn keys(state: &State) -> Vec<RowKey> {
    let instances = state.instances.keys().map(|id| RowKey::Instance(*id));
    let images = state.images.keys().map(|id| RowKey::Image(*id));
    let networks = state.networks.keys().map(|id| RowKey::Network(*id));
    let acls = state.acls.keys().map(|id| RowKey::Acl(*id));
    let profiles = state.profiles.keys().map(|id| RowKey::Profile(*id));
    let pools = state.pools.keys().map(|id| RowKey::Pool(*id));
    let volumes = state.volumes.keys().map(|id| RowKey::Volume(*id));
    instances.chain(images).chain(networks).chain(acls).chain(profiles).chain(pools).chain(volumes).collect()
}

/// Collection and last element of the path of a record's object, if the record is there.
fn place(state: &State, key: RowKey) -> Option<(&'static str, String)> {
    match key {
        RowKey::Instance(id) => state.instances.get(&id).map(|_| ("instance", id.to_string())),
        RowKey::Image(id) => state.images.get(&id).map(|image| ("image", image.fingerprint.short().to_owned())),
        RowKey::Network(id) => state.networks.get(&id).map(|_| ("network", id.to_string())),
        RowKey::Acl(id) => state.acls.get(&id).map(|_| ("acl", id.to_string())),
        RowKey::Profile(id) => state.profiles.get(&id).map(|_| ("profile", id.to_string())),
        RowKey::Pool(id) => state.pools.get(&id).map(|_| ("pool", id.to_string())),
        RowKey::Volume(id) => state.volumes.get(&id).map(|_| ("volume", id.to_string())),
        RowKey::Snapshot(..) | RowKey::VolumeSnapshot(..) | RowKey::Trashed(_) | RowKey::Job(_) => None,
    }
}

/// Events first, then questions: an answer means that nothing older is left.
async fn follow(publisher: Publisher, bus: Bus, mut events: broadcast::Receiver<Event>, mut questions: mpsc::Receiver<Question>) {
    loop {
        tokio::select! {
            biased;
            event = events.recv() => match event {
                Ok(event) => {
                    if let Err(error) = publisher.handle(&bus, event).await {
                        tracing::debug!("a signal could not be sent: {error}");
                    }
                }
                Err(broadcast::error::RecvError::Lagged(missed)) => resync(&publisher, &bus, missed).await,
                Err(broadcast::error::RecvError::Closed) => return,
            },
            question = questions.recv() => match question {
                Some(answer) => drop(answer.send(())),
                None => return,
            },
        }
    }
}

/// After missed events: what is gone is removed, and everything there is is added again, which is fine for
/// what is there already.
async fn resync(publisher: &Publisher, bus: &Bus, missed: u64) {
    tracing::warn!("{missed} events were missed; objects are published anew");
    let state = publisher.engine.state();
    for key in keys(&state) {
        if let Err(error) = publisher.add(bus, &state, key).await {
            tracing::debug!("an object could not be added: {error}");
        }
    }
    if let Err(error) = publisher.prune(&state).await {
        tracing::debug!("an object could not be removed: {error}");
    }
}
