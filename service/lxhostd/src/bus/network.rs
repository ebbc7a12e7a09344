//! `org.lxhost1.Network`.

use super::Bus;
use super::error::Failure;
use super::job::{described, value};
use super::listener;
use super::options::{self, Options};
use super::rows;
use super::server::{CheckRow, check};
use lxhost_dbus::wire::{Config, ForwardRow, LeaseRow, LoadBalancerRow, Values};
use lxhost_engine::network::{Confirm, Delete, Rename, Replace, RollBack, Tried, by_id, users};
use lxhost_engine::ports::{NetworkRecords, NetworkState, State};
use lxhost_engine::{Engine, Question, Result, Verb};
use lxhost_model::checkpoint::Trial;
use lxhost_model::config::is_on;
use lxhost_model::{Action, Forward, LoadBalancer, Network as Record, ObjectId, Timestamp};
use std::collections::HashMap;
use std::sync::Arc;
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::wire::{OwnedObjectPath, OwnedVariant};

pub(super) struct Network {
    pub(super) bus: Bus,
    pub(super) id: ObjectId,
}

/// Properties that changed with a commit.
pub(super) fn changes(
    engine: &Engine,
    before: &State,
    after: &State,
    id: ObjectId,
) -> Result<HashMap<&'static str, OwnedVariant>> {
    let (Some(old), Some(new)) = (before.networks.get(&id), after.networks.get(&id)) else { return Ok(HashMap::new()) };
    let mut changed = described((&old.description, old.generation), (&new.description, new.generation))?;
    if old.name != new.name {
        changed.insert("Name", value(new.name.as_str())?);
    }
    let driver = engine.ports().networks.driver(&new.kind)?;
    if driver.interface(old) != driver.interface(new) {
        changed.insert("Interface", value(driver.interface(new))?);
    }
    if deadline(old) != deadline(new) {
        changed.insert("RollbackAt", value(deadline(new))?);
    }
    if old.config != new.config {
        changed.insert("Subnets", value(rows::subnets(new))?);
    }
    Ok(changed)
}

/// When a change that nobody has confirmed is undone; 0 when none waits.
fn deadline(record: &Record) -> Timestamp {
    record.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.until)
}

/// Does `verb`, for good or until it is confirmed.
pub(super) async fn tried(
    bus: &Bus,
    header: &Header<'_>,
    verb: impl Verb,
    trial: Option<Trial>,
) -> Result<OwnedObjectPath, Failure> {
    match trial {
        None => bus.submit(header, verb).await,
        Some(trial) => bus.submit(header, Tried::new(verb, trial)).await,
    }
}

/// A network's state for the wire.
fn fields(record: &Record, state: NetworkState, users: Vec<String>) -> Result<Values> {
    let nat = |family: &&str| is_on(&record.config, &format!("{family}.nat"));
    let nat: Vec<String> = ["ipv4", "ipv6"].into_iter().filter(nat).map(str::to_owned).collect();
    let addresses: Vec<String> = state.addresses.iter().map(ToString::to_string).collect();
    let mut fields = vec![
        ("up", value(state.up)?),
        ("interface", value(state.interface)?),
        ("addresses", value(addresses)?),
        ("received-bytes", value(state.bytes.0)?),
        ("sent-bytes", value(state.bytes.1)?),
        ("received-packets", value(state.packets.0)?),
        ("sent-packets", value(state.packets.1)?),
        ("ports", value(state.ports)?),
        ("outside", value(state.outside)?),
        ("default-route", value(state.default_route)?),
        ("used-by", value(users)?),
        ("nat", value(nat)?),
        ("warnings", value(state.warnings)?),
    ];
    if let Some(mac) = state.mac {
        fields.push(("hwaddr", value(mac)?));
    }
    if let Some(mtu) = state.mtu {
        fields.push(("mtu", value(mtu)?));
    }
    Ok(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

impl Network {
    fn record(&self) -> Result<Arc<Record>> {
        by_id(&self.bus.engine.state(), self.id)
    }
}

#[zbus::interface(name = "org.lxhost1.Network")]
impl Network {
    #[zbus(out_args("config", "generation"))]
    async fn get_config(&self, #[zbus(header)] header: Header<'_>, options: Values) -> Result<(Config, u64), Failure> {
        options::none(options)?;
        let caller = self.bus.caller(&header).await?;
        let record = self.record()?;
        let details = vec![("network", record.name.to_string()), ("verb", "network.get-config".to_owned())];
        self.bus.engine.allow(&caller, Question { action: Action::Info, details }).await?;
        Ok((record.config.clone(), record.generation))
    }

    #[zbus(out_args("job"))]
    async fn replace_config(
        &self,
        #[zbus(header)] header: Header<'_>,
        config: Config,
        expected_generation: u64,
        options: Values,
    ) -> Result<OwnedObjectPath, Failure> {
        let mut options = Options::new(options);
        let description = options.take("description")?;
        let trial = options.trial()?;
        options.done()?;
        let verb = Replace { id: self.id, config, description, expected: Some(expected_generation) };
        tried(&self.bus, &header, verb, trial).await
    }

    /// Counters and what belongs to the network: `up` b, `interface` s, `hwaddr` s, `mtu` u, `addresses` as,
    /// `received-bytes` t, `received-packets` t, `sent-bytes` t, `sent-packets` t, `ports` as, `used-by` as,
    /// `nat` as (the families), `outside` as (the host's interfaces in it), `default-route` b (whether the host's leads
    /// through it), `warnings` as.
    #[zbus(out_args("state"))]
    async fn get_state(&self, options: Values) -> Result<Values, Failure> {
        options::none(options)?;
        let (record, all) = (self.record()?, self.bus.engine.state());
        let others: Vec<_> = all.networks.values().filter(|other| other.id != self.id).cloned().collect();
        let state = self.bus.engine.ports().networks.driver(&record.kind)?.state(&record, &others).await?;
        Ok(fields(&record, state, users(&all, &record))?)
    }

    /// Examines the network on this host, also with a guest's question for an address: rows with `name` s, `state` s
    /// (ok|warn|fail), `message` s, `hint` s.
    #[zbus(out_args("checks"))]
    async fn diagnose(&self, #[zbus(header)] header: Header<'_>, options: Values) -> Result<Vec<CheckRow>, Failure> {
        options::none(options)?;
        let caller = self.bus.caller(&header).await?;
        let record = self.record()?;
        let details = vec![("network", record.name.to_string()), ("verb", "network.diagnose".to_owned())];
        self.bus.engine.allow(&caller, Question { action: Action::NetworkManage, details }).await?;
        let all = NetworkRecords::of(&self.bus.engine.state());
        let checks = self.bus.engine.ports().networks.driver(&record.kind)?.diagnose(&record, &all).await?;
        Ok(checks.into_iter().map(check).collect())
    }

    #[zbus(out_args("job"))]
    async fn rename(
        &self,
        #[zbus(header)] header: Header<'_>,
        name: String,
        options: Values,
    ) -> Result<OwnedObjectPath, Failure> {
        let mut options = Options::new(options);
        let trial = options.trial()?;
        options.done()?;
        tried(&self.bus, &header, Rename::new(self.id, name.parse()?), trial).await
    }

    /// Keeps the change that would be undone at `RollbackAt`.
    #[zbus(out_args("job"))]
    async fn confirm(&self, #[zbus(header)] header: Header<'_>, options: Values) -> Result<OwnedObjectPath, Failure> {
        options::none(options)?;
        self.bus.submit(&header, Confirm::new(self.id)).await
    }

    /// Undoes the change at once that would be undone at `RollbackAt`.
    #[zbus(out_args("job"))]
    async fn rollback(&self, #[zbus(header)] header: Header<'_>, options: Values) -> Result<OwnedObjectPath, Failure> {
        options::none(options)?;
        self.bus.submit(&header, RollBack::new(self.id)).await
    }

    #[zbus(out_args("forwards", "generation"))]
    async fn list_forwards(
        &self,
        #[zbus(header)] header: Header<'_>,
        options: Values,
    ) -> Result<(Vec<ForwardRow>, u64), Failure> {
        listener::list(&self.bus, &header, self.record()?, options, listener::forward).await
    }

    #[zbus(out_args("job"))]
    async fn create_forward(
        &self,
        #[zbus(header)] header: Header<'_>,
        listen: &str,
        config: Config,
        ports: Vec<Config>,
        options: Values,
    ) -> Result<OwnedObjectPath, Failure> {
        let forward = |description| Forward { description, config, ports };
        listener::create(&self.bus, &header, self.id, listen, options, forward).await
    }

    #[zbus(out_args("job"))]
    async fn replace_forward(
        &self,
        #[zbus(header)] header: Header<'_>,
        listen: &str,
        config: Config,
        ports: Vec<Config>,
        expected_generation: u64,
        options: Values,
    ) -> Result<OwnedObjectPath, Failure> {
        let forward = |description| Forward { description, config, ports };
        let network = (self.record()?, expected_generation);
        listener::replace(&self.bus, &header, network, listen, options, forward).await
    }

    #[zbus(out_args("job"))]
    async fn delete_forward(
        &self,
        #[zbus(header)] header: Header<'_>,
        listen: &str,
        options: Values,
    ) -> Result<OwnedObjectPath, Failure> {
        listener::delete::<Forward>(&self.bus, &header, self.id, listen, options).await
    }

    #[zbus(out_args("load_balancers", "generation"))]
    async fn list_load_balancers(
        &self,
        #[zbus(header)] header: Header<'_>,
        options: Values,
    ) -> Result<(Vec<LoadBalancerRow>, u64), Failure> {
        listener::list(&self.bus, &header, self.record()?, options, listener::load_balancer).await
    }

    #[zbus(out_args("job"))]
    async fn create_load_balancer(
        &self,
        #[zbus(header)] header: Header<'_>,
        listen: &str,
        config: Config,
        backends: Vec<Config>,
        ports: Vec<Config>,
        options: Values,
    ) -> Result<OwnedObjectPath, Failure> {
        let balancer = |description| LoadBalancer { description, config, backends, ports };
        listener::create(&self.bus, &header, self.id, listen, options, balancer).await
    }

    #[zbus(out_args("job"))]
    #[expect(clippy::too_many_arguments, reason = "the signature of the published method")]
    async fn replace_load_balancer(
        &self,
        #[zbus(header)] header: Header<'_>,
        listen: &str,
        config: Config,
        backends: Vec<Config>,
        ports: Vec<Config>,
        expected_generation: u64,
        options: Values,
    ) -> Result<OwnedObjectPath, Failure> {
        let balancer = |description| LoadBalancer { description, config, backends, ports };
        let network = (self.record()?, expected_generation);
        listener::replace(&self.bus, &header, network, listen, options, balancer).await
    }

    #[zbus(out_args("job"))]
    async fn delete_load_balancer(
        &self,
        #[zbus(header)] header: Header<'_>,
        listen: &str,
        options: Values,
    ) -> Result<OwnedObjectPath, Failure> {
        listener::delete::<LoadBalancer>(&self.bus, &header, self.id, listen, options).await
    }

    #[zbus(out_args("leases"))]
    async fn list_leases(&self) -> Result<Vec<LeaseRow>, Failure> {
        let record = self.record()?;
        let leases = self.bus.engine.ports().networks.driver(&record.kind)?.leases(&record).await?;
        let row = |lease: lxhost_engine::ports::Lease| LeaseRow {
            mac: lease.mac,
            address: lease.address.to_string(),
            hostname: lease.hostname,
            expires: lease.expires.saturating_mul(1_000_000),
        };
        Ok(leases.into_iter().map(row).collect())
    }

    #[zbus(out_args("job"))]
    async fn delete(&self, #[zbus(header)] header: Header<'_>, options: Values) -> Result<OwnedObjectPath, Failure> {
        let mut options = Options::new(options);
        let trial = options.trial()?;
        options.done()?;
        tried(&self.bus, &header, Delete::new(self.id), trial).await
    }

    /// `what` is `added`, `renewed` or `removed`.
    #[zbus(signal)]
    async fn lease_changed(emitter: &SignalEmitter<'_>, mac: &str, address: &str, what: &str) -> zbus::Result<()>;

    #[zbus(property(emits_changed_signal = "const"))]
    fn id(&self) -> String {
        self.id.to_string()
    }

    #[zbus(property(emits_changed_signal = "const"), name = "Type")]
    fn kind(&self) -> Result<String, Failure> {
        Ok(self.record()?.kind.clone())
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn project(&self) -> Result<String, Failure> {
        Ok(self.record()?.project.to_string())
    }

    #[zbus(property)]
    fn name(&self) -> Result<String, Failure> {
        Ok(self.record()?.name.to_string())
    }

    #[zbus(property)]
    fn interface(&self) -> Result<String, Failure> {
        let record = self.record()?;
        Ok(self.bus.engine.ports().networks.driver(&record.kind)?.interface(&record))
    }

    #[zbus(property)]
    fn description(&self) -> Result<String, Failure> {
        Ok(self.record()?.description.clone())
    }

    #[zbus(property)]
    fn subnets(&self) -> Result<Vec<String>, Failure> {
        Ok(rows::subnets(self.record()?.as_ref()))
    }

    /// When a change that nobody has confirmed is undone; 0 when none waits.
    #[zbus(property)]
    fn rollback_at(&self) -> Result<u64, Failure> {
        Ok(deadline(self.record()?.as_ref()))
    }

    #[zbus(property)]
    fn generation(&self) -> Result<u64, Failure> {
        Ok(self.record()?.generation)
    }
}
