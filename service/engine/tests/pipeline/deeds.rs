//! Everything that can be done to a machine, each with what has to be there first. What is proved of one
//! is proved of all.

use crate::trials;
use crate::world::World;
use lxhost_engine::network::listener::{Create, Delete, Replace};
use lxhost_engine::{Result, acl, image, instance, network, pool, profile, snapshot};
use lxhost_model::forward::PortKeys;
use lxhost_model::instance::ExitReason;
use lxhost_model::{Acl, Forward, LoadBalancer, ObjectId, Profile};
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;

type Step<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Something that can be done.
pub(crate) struct Deed {
    pub(crate) name: &'static str,
    /// Whether its failure leaves everything as it was; else it can be done again.
    pub(crate) undone: bool,
    pub(crate) before: fn(World) -> Step<()>,
    pub(crate) act: fn(World) -> Step<Result<()>>,
    /// Whether it has been done, by the look of the machine.
    pub(crate) done: fn(&World) -> bool,
}

macro_rules! deed {
    ($name:literal, $undone:literal, |$b:ident| $before:expr, |$a:ident| $act:expr, $done:expr) => {
        Deed {
            name: $name,
            undone: $undone,
            before: |$b| {
                Box::pin(async move {
                    $before;
                })
            },
            act: |$a| Box::pin(async move { $act.await.map(drop) }),
            done: $done,
        }
    };
}

mod backups;
mod copies;
pub(crate) mod pools;
pub(crate) mod quotas;
pub(crate) mod trash;
pub(crate) mod volumes;

fn is(world: &World, name: &str, status: &str) -> bool {
    world.status(name).is_some_and(|now| now.as_str() == status)
}

async fn stopped(world: &World, name: &str) {
    world.perform(world.create(name, false)).await.unwrap();
}

pub(crate) fn id(world: &World) -> ObjectId {
    world.id("c1").unwrap()
}

/// An image `i1` from a file, beside the one that the defaults of a launch bring.
async fn import(world: &World, alias: &str, text: &str) -> Result<()> {
    let aliases = vec![alias.parse().unwrap()];
    let random = world.engine.host().random();
    let import = image::Import::new(Default::default(), World::files(text), aliases, Default::default(), random)?;
    world.perform(import).await.map(drop)
}

fn image(world: &World, alias: &str) -> Option<ObjectId> {
    image::find(&world.state(), &Default::default(), alias).ok().map(|image| image.id)
}

async fn end(world: &World, reason: ExitReason) -> Result<()> {
    world.sim.launcher.end(id(world), reason, 0)?;
    world.until(|world| world.status("c1").is_none_or(|status| !status.is_live())).await;
    world.rest().await;
    Ok(())
}

pub(crate) async fn new_pool(world: &World, name: &str) -> Result<()> {
    let create = pool::Create::new(world.engine.ports(), name.parse().unwrap(), "dir", Default::default()).await?;
    world.perform(create).await.map(drop)
}

async fn new_network(world: &World, name: &str) -> Result<()> {
    let create =
        network::Create::new(world.engine.ports(), Default::default(), name.parse().unwrap(), "bridge", Default::default())?;
    world.perform(create).await.map(drop)
}

const LISTEN: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// Has a port of an address lead to the first instance that the network `n1` could have.
fn entry(world: &World, port: &str) -> PortKeys {
    let state = world.state();
    let net = state.networks[&network_named(world, "n1").unwrap()].subnets().next().unwrap();
    let target = net.hosts().find(|host| *host != net.addr()).unwrap().to_string();
    let keys = [("protocol", "tcp"), ("listen_port", port), ("target_address", target.as_str())];
    keys.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

async fn new_forward(world: &World) -> Result<()> {
    let listener = Forward { ports: vec![entry(world, "80")], ..Default::default() };
    let id = network_named(world, "n1").unwrap();
    world.perform(Create { id, listen: LISTEN, listener }).await.map(drop)
}

async fn new_balancer(world: &World) -> Result<()> {
    let (mut port, mut backend) = (entry(world, "80"), entry(world, "80"));
    backend.retain(|key, _| key == "target_address");
    port.remove("target_address");
    backend.insert("name".into(), "w1".into());
    port.insert("target_backend".into(), "w1,w1".into());
    let listener = LoadBalancer { backends: vec![backend], ports: vec![port], ..Default::default() };
    let id = network_named(world, "n1").unwrap();
    world.perform(Create { id, listen: LISTEN, listener }).await.map(drop)
}

async fn other_forward(world: &World) -> Result<()> {
    let listener = Forward { ports: vec![entry(world, "81")], ..Default::default() };
    let id = network_named(world, "n1").unwrap();
    world.perform(Replace { id, listen: LISTEN, listener, expected: None }).await.map(drop)
}

/// Whether that port is forwarded, by the look of the machine.
fn forwarded(world: &World, port: u16) -> bool {
    world.sim.networks.forwards().get(&LISTEN).is_some_and(|forward| forward.ports[0].listen == [port..=port])
}

/// An ACL with a rule of that action.
fn acl_of(world: &World, name: &str, action: &str) -> Acl {
    let rule = [("action".to_owned(), action.to_owned())].into();
    Acl {
        id: ObjectId::from_random(world.engine.host().random()),
        project: Default::default(),
        name: name.parse().unwrap(),
        description: String::new(),
        config: Default::default(),
        ingress: vec![rule],
        egress: vec![],
        created: 0,
        generation: 0,
    }
}

pub(crate) async fn new_acl(world: &World, name: &str) -> Result<()> {
    world.perform(acl::Create::new(acl_of(world, name, "allow"))?).await.map(drop)
}

fn acl_named(world: &World, name: &str) -> Option<Arc<Acl>> {
    world.state().acl(&Default::default(), &name.parse().unwrap()).cloned()
}

/// The ACL `a1`, and the network `n1` that carries it.
async fn carried_acl(world: &World) {
    new_acl(world, "a1").await.unwrap();
    new_network(world, "n1").await.unwrap();
    let mut config = world.state().networks[&network_named(world, "n1").unwrap()].config.clone();
    config.insert("security.acls".into(), "a1".into());
    let id = network_named(world, "n1").unwrap();
    world.perform(network::Replace { id, config, description: None, expected: None }).await.unwrap();
}

async fn stricter_acl(world: &World) -> Result<()> {
    let id = acl_named(world, "a1").unwrap().id;
    let ingress = acl_of(world, "a1", "drop").ingress;
    let change = acl::Replace { id, config: Default::default(), ingress, egress: vec![], description: None, expected: None };
    world.perform(change).await.map(drop)
}

pub(crate) fn new_profile(world: &World) -> profile::Create {
    let profile = Profile {
        id: ObjectId::from_random(world.engine.host().random()),
        project: Default::default(),
        name: "p1".parse().unwrap(),
        description: String::new(),
        config: Default::default(),
        devices: Default::default(),
        created: 0,
        generation: 0,
    };
    profile::Create::new(profile).unwrap()
}

pub(crate) fn take(world: &World) -> snapshot::Create {
    let (name, random) = (Some("s1".parse().unwrap()), world.engine.host().random());
    snapshot::Create::new(id(world), name, String::new(), true, random).unwrap()
}

/// The instance with a snapshot, and changed since.
async fn changed_since(world: &World) {
    world.perform(take(world)).await.unwrap();
    world.perform(set(world)).await.unwrap();
}

fn restore(world: &World) -> snapshot::Restore {
    snapshot::Restore::new(id(world), "s1".parse().unwrap())
}

fn is_restored(world: &World) -> bool {
    !world.state().instances[&id(world)].config.contains_key("user.a")
}

fn snapshots(world: &World) -> Vec<String> {
    world.state().snapshots.values().map(|snapshot| snapshot.name.to_string()).collect()
}

fn set(world: &World) -> instance::Configure {
    let change = instance::Change { set: [("user.a".to_owned(), "1".to_owned())].into(), ..Default::default() };
    instance::Configure::new(id(world), change).unwrap()
}

/// Interfaces beside that of the default profile: one in the network, one on a link of the host.
fn nics(world: &World, plugged: bool) -> instance::Configure {
    let device = |name: &str, keys: &[(&str, &str)]| {
        let name = name.parse().unwrap();
        let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let device = lxhost_model::device::Device::new(&name, keys).unwrap();
        (name, device)
    };
    let lan = device("lan", &[("type", "nic"), ("network", "lxbr0")]);
    let wan = device("wan", &[("type", "nic"), ("nictype", "macvlan"), ("parent", "eth0")]);
    let devices = if plugged { [lan, wan].into() } else { Default::default() };
    instance::Configure::new(id(world), instance::Change { devices: Some(devices), ..Default::default() }).unwrap()
}

/// Another interface in the default profile, on a link of the host.
pub(crate) fn default_profile(world: &World) -> profile::Replace {
    let profile = world.state().profiles.values().next().unwrap().clone();
    let name: lxhost_model::name::DeviceName = "wan".parse().unwrap();
    let keys = [("type", "nic"), ("nictype", "macvlan"), ("parent", "eth0")];
    let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let mut devices = profile.devices.clone();
    devices.insert(name.clone(), lxhost_model::device::Device::new(&name, keys).unwrap());
    profile::Replace { id: profile.id, config: profile.config.clone(), devices, description: None, expected: None }
}

/// One proxy, at that port of the host.
fn proxy(world: &World, port: Option<u16>) -> instance::Configure {
    let name: lxhost_model::name::DeviceName = "web".parse().unwrap();
    let of = |port: u16| {
        let keys = [("type", "proxy"), ("listen", &format!("tcp:0.0.0.0:{port}")), ("connect", "tcp:127.0.0.1:80")];
        let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        (name.clone(), lxhost_model::device::Device::new(&name, keys).unwrap())
    };
    let devices = port.into_iter().map(of).collect();
    instance::Configure::new(id(world), instance::Change { devices: Some(devices), ..Default::default() }).unwrap()
}

fn listens(world: &World, port: u16) -> bool {
    let places: Vec<_> = world.sim.proxies.open().iter().flat_map(|plan| plan.proxy.pairs()).map(|(listen, _)| listen).collect();
    places == [format!("tcp:0.0.0.0:{port}")]
}

async fn with_proxy(world: &World) {
    world.launch("c1").await;
    world.perform(proxy(world, Some(80))).await.unwrap();
}

fn interfaces(world: &World) -> usize {
    world.sim.launcher.spec(id(world)).map_or(0, |spec| spec.nics.len())
}

fn pool_named(world: &World, name: &str) -> Option<ObjectId> {
    world.state().pool(&name.parse().unwrap()).map(|pool| pool.id)
}

fn network_named(world: &World, name: &str) -> Option<ObjectId> {
    world.state().network(&Default::default(), &name.parse().unwrap()).map(|network| network.id)
}

pub(crate) fn all() -> Vec<Deed> {
    let mut deeds = on_instances();
    deeds.extend(on_snapshots());
    deeds.extend(backups::all());
    deeds.extend(copies::all());
    deeds.extend(volumes::all());
    deeds.extend(pools::all());
    deeds.extend(quotas::all());
    deeds.extend(trash::all());
    deeds.extend(on_the_rest());
    deeds.extend(on_trial());
    deeds
}

fn on_instances() -> Vec<Deed> {
    vec![
        deed!("first create", false, |w| w.rest().await, |w| w.perform(w.create("c1", false)), |w| is(w, "c1", "stopped")),
        deed!("first launch", false, |w| w.rest().await, |w| w.perform(w.create("c1", true)), |w| is(w, "c1", "running")),
        deed!("create", true, |w| w.launch("c0").await, |w| w.perform(w.create("c1", false)), |w| is(w, "c1", "stopped")),
        deed!("launch", false, |w| w.launch("c0").await, |w| w.perform(w.create("c1", true)), |w| is(w, "c1", "running")),
        deed!("start", true, |w| stopped(&w, "c1").await, |w| w.perform(instance::Start::new(id(&w))), |w| is(
            w, "c1", "running"
        )),
        deed!("stop", false, |w| w.launch("c1").await, |w| w.perform(instance::Stop::new(id(&w), false, Some(5))), |w| is(
            w, "c1", "stopped"
        )),
        deed!("stop by force", false, |w| w.launch("c1").await, |w| w.perform(instance::Stop::new(id(&w), true, None)), |w| is(
            w, "c1", "stopped"
        )),
        deed!("restart", false, |w| w.launch("c1").await, |w| w.perform(instance::Restart::new(id(&w), true, None)), |w| is(
            w, "c1", "running"
        )),
        deed!("freeze", true, |w| w.launch("c1").await, |w| w.perform(instance::Freeze::new(id(&w))), |w| is(w, "c1", "frozen")),
        deed!(
            "thaw",
            true,
            |w| {
                w.launch("c1").await;
                w.perform(instance::Freeze::new(id(&w))).await.unwrap();
            },
            |w| w.perform(instance::Thaw::new(id(&w))),
            |w| is(w, "c1", "running")
        ),
        deed!("plug in", true, |w| w.launch("c1").await, |w| w.perform(nics(&w, true)), |w| interfaces(w) == 3),
        deed!(
            "unplug",
            true,
            |w| {
                w.launch("c1").await;
                w.perform(nics(&w, true)).await.unwrap();
            },
            |w| w.perform(nics(&w, false)),
            |w| interfaces(w) == 1
        ),
        deed!("open a proxy", true, |w| w.launch("c1").await, |w| w.perform(proxy(&w, Some(80))), |w| listens(w, 80)),
        deed!("move a proxy", true, |w| with_proxy(&w).await, |w| w.perform(proxy(&w, Some(81))), |w| listens(w, 81)),
        deed!("close a proxy", true, |w| with_proxy(&w).await, |w| w.perform(proxy(&w, None)), |w| w
            .sim
            .proxies
            .open()
            .is_empty()),
        deed!(
            "start with a proxy",
            true,
            |w| {
                with_proxy(&w).await;
                w.perform(instance::Stop::new(id(&w), true, None)).await.unwrap();
            },
            |w| w.perform(instance::Start::new(id(&w))),
            |w| listens(w, 80)
        ),
        deed!("delete", false, |w| stopped(&w, "c1").await, |w| w.perform(instance::Delete::new(id(&w), false)), |w| w
            .id("c1")
            .is_none()),
        deed!("delete by force", false, |w| w.launch("c1").await, |w| w.perform(instance::Delete::new(id(&w), true)), |w| w
            .id("c1")
            .is_none()),
        deed!(
            "rename",
            true,
            |w| stopped(&w, "c1").await,
            |w| w.perform(instance::Rename::new(id(&w), "c2".parse().unwrap())),
            |w| w.id("c2").is_some()
        ),
        deed!("configure", true, |w| w.launch("c1").await, |w| w.perform(set(&w)), |w| w.state().instances[&id(w)]
            .config
            .contains_key("user.a")),
        deed!("power off inside", false, |w| w.launch("c1").await, |w| end(&w, ExitReason::Poweroff), |w| is(w, "c1", "stopped")),
    ]
}

fn on_snapshots() -> Vec<Deed> {
    vec![
        deed!("take a snapshot", true, |w| stopped(&w, "c1").await, |w| w.perform(take(&w)), |w| snapshots(w) == ["s1"]),
        deed!("take a snapshot of what runs", true, |w| w.launch("c1").await, |w| w.perform(take(&w)), |w| snapshots(w)
            == ["s1"]
            && is(w, "c1", "running")),
        deed!(
            "replace a snapshot",
            false,
            |w| {
                w.launch("c1").await;
                w.perform(take(&w)).await.unwrap();
                w.perform(set(&w)).await.unwrap();
            },
            |w| w.perform(take(&w)),
            |w| snapshots(w) == ["s1"]
                && w.state().snapshots.values().all(|snapshot| snapshot.instance.config.contains_key("user.a"))
        ),
        deed!(
            "rename a snapshot",
            true,
            |w| {
                stopped(&w, "c1").await;
                w.perform(take(&w)).await.unwrap();
            },
            |w| {
                let (name, to) = ("s1".parse().unwrap(), "s2".parse().unwrap());
                w.perform(snapshot::Rename { instance: id(&w), name, to })
            },
            |w| snapshots(w) == ["s2"]
        ),
        deed!(
            "restore a snapshot",
            false,
            |w| {
                stopped(&w, "c1").await;
                changed_since(&w).await;
            },
            |w| w.perform(restore(&w)),
            |w| is_restored(w) && is(w, "c1", "stopped")
        ),
        deed!(
            "start with a snapshot",
            true,
            |w| {
                stopped(&w, "c1").await;
                let set = [("snapshots.schedule".to_owned(), "@startup".to_owned())].into();
                let change = instance::Change { set, ..Default::default() };
                w.perform(instance::Configure::new(id(&w), change).unwrap()).await.unwrap();
            },
            |w| w.perform(instance::Start::new(id(&w))),
            |w| is(w, "c1", "running") && snapshots(w) == ["snap0"]
        ),
        deed!(
            "restore what runs",
            false,
            |w| {
                w.launch("c1").await;
                changed_since(&w).await;
            },
            |w| w.perform(restore(&w)),
            |w| is_restored(w)
        ),
        deed!(
            "delete a snapshot",
            false,
            |w| {
                stopped(&w, "c1").await;
                w.perform(take(&w)).await.unwrap();
            },
            |w| w.perform(snapshot::Delete::new(id(&w), "s1".parse().unwrap())),
            |w| snapshots(w).is_empty()
        ),
        deed!(
            "delete with a snapshot",
            false,
            |w| {
                stopped(&w, "c1").await;
                w.perform(take(&w)).await.unwrap();
            },
            |w| w.perform(instance::Delete::new(id(&w), false)),
            |w| w.id("c1").is_none() && snapshots(w).is_empty()
        ),
    ]
}

/// Changes of networks that wait to be confirmed, and their ends.
fn on_trial() -> Vec<Deed> {
    use crate::trials::{bridge, confirm, has_ways, is_new, is_old, network as bridge_of, replace, roll_back, tried, waiting};
    vec![
        deed!("try a network", true, |w| w.rest().await, |w| w.perform(tried(trials::create(&w))), |w| bridge_of(w).is_some()),
        deed!("try a change", true, |w| bridge(&w).await, |w| w.perform(tried(replace(&w))), |w| is_new(w, true)),
        deed!("confirm a change", true, |w| waiting(&w, replace).await, |w| confirm(&w), |w| is_new(w, false)),
        deed!("undo a change", false, |w| waiting(&w, replace).await, |w| roll_back(&w), is_old),
        deed!(
            "try another name",
            true,
            |w| bridge(&w).await,
            |w| {
                let rename = network::Rename::new(bridge_of(&w).unwrap().id, "br2".parse().unwrap());
                w.perform(tried(rename))
            },
            |w| bridge_of(w).is_some_and(|network| network.name.as_str() == "br2")
        ),
        deed!(
            "try a deletion",
            true,
            |w| bridge(&w).await,
            |w| w.perform(tried(network::Delete::new(bridge_of(&w).unwrap().id))),
            |w| bridge_of(w).is_some_and(|network| network.is_leaving()) && !has_ways(w)
        ),
        deed!(
            "undo a deletion",
            false,
            |w| waiting(&w, |w| network::Delete::new(bridge_of(w).unwrap().id)).await,
            |w| roll_back(&w),
            is_old
        ),
        deed!(
            "confirm a deletion",
            true,
            |w| waiting(&w, |w| network::Delete::new(bridge_of(w).unwrap().id)).await,
            |w| confirm(&w),
            |w| bridge_of(w).is_none()
        ),
    ]
}

fn on_the_rest() -> Vec<Deed> {
    vec![
        deed!("import", true, |w| w.rest().await, |w| import(&w, "i1", "one"), |w| image(w, "i1").is_some()),
        deed!(
            "delete image",
            false,
            |w| {
                stopped(&w, "c1").await;
                w.perform(instance::Delete::new(id(&w), false)).await.unwrap();
            },
            |w| w.perform(image::Delete::new(image(&w, "sim:empty").unwrap())),
            |w| w.state().images.is_empty()
        ),
        deed!("create pool", true, |w| w.rest().await, |w| new_pool(&w, "p1"), |w| pool_named(w, "p1").is_some()),
        deed!(
            "delete pool",
            false,
            |w| new_pool(&w, "p1").await.unwrap(),
            |w| w.perform(pool::Delete::new(pool_named(&w, "p1").unwrap())),
            |w| pool_named(w, "p1").is_none()
        ),
        deed!("create network", true, |w| w.rest().await, |w| new_network(&w, "n1"), |w| network_named(w, "n1").is_some()),
        deed!(
            "delete network",
            false,
            |w| new_network(&w, "n1").await.unwrap(),
            |w| w.perform(network::Delete::new(network_named(&w, "n1").unwrap())),
            |w| network_named(w, "n1").is_none()
        ),
        deed!("create forward", true, |w| new_network(&w, "n1").await.unwrap(), |w| new_forward(&w), |w| forwarded(w, 80)),
        deed!(
            "change forward",
            true,
            |w| {
                new_network(&w, "n1").await.unwrap();
                new_forward(&w).await.unwrap();
            },
            |w| other_forward(&w),
            |w| forwarded(w, 81)
        ),
        deed!(
            "delete forward",
            true,
            |w| {
                new_network(&w, "n1").await.unwrap();
                new_forward(&w).await.unwrap();
            },
            |w| w.perform(Delete::<Forward>::new(network_named(&w, "n1").unwrap(), LISTEN)),
            |w| w.sim.networks.forwards().is_empty()
        ),
        deed!("create load balancer", true, |w| new_network(&w, "n1").await.unwrap(), |w| new_balancer(&w), |w| forwarded(w, 80)),
        deed!("create ACL", true, |w| w.rest().await, |w| new_acl(&w, "a1"), |w| acl_named(w, "a1").is_some()),
        deed!("change ACL", true, |w| carried_acl(&w).await, |w| stricter_acl(&w), |w| acl_named(w, "a1")
            .is_some_and(|acl| acl.ingress[0]["action"] == "drop")),
        deed!(
            "rename ACL",
            true,
            |w| new_acl(&w, "a1").await.unwrap(),
            |w| w.perform(acl::Rename { id: acl_named(&w, "a1").unwrap().id, name: "a2".parse().unwrap() }),
            |w| acl_named(w, "a2").is_some()
        ),
        deed!(
            "delete ACL",
            false,
            |w| new_acl(&w, "a1").await.unwrap(),
            |w| w.perform(acl::Delete::new(acl_named(&w, "a1").unwrap().id)),
            |w| w.state().acls.is_empty()
        ),
        deed!(
            "change the profile of a running instance",
            true,
            |w| w.launch("c1").await,
            |w| w.perform(default_profile(&w)),
            |w| interfaces(w) == 2
        ),
        deed!("create profile", true, |w| w.rest().await, |w| w.perform(new_profile(&w)), |w| !w.state().profiles.is_empty()),
    ]
}
