//! `org.lxhost1.Manager`: finds, lists and makes objects.

use super::error::Failure;
use super::network::tried;
use super::options::{self, Options};
use super::rows::{self, InstanceFilter, VolumeFilter, object};
use super::{Bus, invalid, paths};
use lxhost_dbus::path;
use lxhost_dbus::wire::{
    AclRow, Config, Devices, ImageRow, InstanceRow, JobRow, LostRow, NetworkRow, PoolRow, ProfileRow, RemoteImageRow, Values,
    VolumeRow,
};
use lxhost_engine::instance::{Bulk, BulkVerb, Create, Original, Source, Spec, Wanted};
use lxhost_engine::ports::ImageFiles;
use lxhost_engine::recover::Recover;
use lxhost_engine::{Error, Kind, Result, acl, image, network, pool, profile};
use lxhost_model::name::ProjectName;
use lxhost_model::{Acl, ObjectId, Profile};
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::wire::{ObjectPath, OwnedObjectPath};

/// Instances that one call of a bulk method may name.
const MAX_OBJECTS: usize = 10_000;

#[derive(Clone)]
pub(super) struct Manager {
    pub(super) bus: Bus,
}

/// A name from the wire; not found instead of malformed where something is looked up.
fn lookup<T: std::str::FromStr<Err = Error>>(name: &str, kind: Kind, noun: &str) -> Result<T> {
    name.parse().map_err(|_| Error::new(kind, format!("{noun} {} does not exist", lxhost_model::name::quoted(name))))
}

/// A project from the wire; nothing is the default one.
pub(super) fn project_of(name: &str) -> Result<ProjectName> {
    if name.is_empty() { Ok(ProjectName::default()) } else { name.parse() }
}

/// Directories to look into beside the daemon's own.
fn sources_of(options: Values) -> Result<Vec<PathBuf>> {
    let mut options = Options::new(options);
    let sources: Vec<String> = options.take("sources")?.unwrap_or_default();
    options.done()?;
    Ok(sources.into_iter().map(PathBuf::from).collect())
}

/// The id at the end of a path of ours.
pub(super) fn id_of(path: &ObjectPath<'_>) -> Result<ObjectId> {
    let bad = || Error::new(Kind::NoSuchInstance, format!("{} is no instance", lxhost_model::name::quoted(path.as_str())));
    path.as_str().strip_prefix("/org/lxhost1/instance/").ok_or_else(bad)?.parse().map_err(|_| bad())
}

impl Manager {
    pub(super) fn spec(values: Values) -> Result<Spec> {
        let mut options = Options::new(values);
        let spec = Self::spec_of(&mut options)?;
        options.done()?;
        Ok(spec)
    }

    /// What a new instance shall be.
    pub(super) fn spec_of(options: &mut Options) -> Result<Spec> {
        let vm = match options.text("type")?.as_str() {
            "" | "container" => false,
            "vm" | "virtual-machine" => true,
            other => return Err(invalid(format!("unknown type {}", lxhost_model::name::quoted(other)))),
        };
        Ok(Spec {
            description: options.text("description")?,
            profiles: options.parsed_list("profiles")?,
            config: options.config("config")?,
            devices: options::devices(options.take::<Devices>("devices")?.unwrap_or_default())?,
            pool: options.parsed("pool")?,
            ephemeral: options.flag("ephemeral")?,
            start: options.flag("start")?,
            vm,
        })
    }

    /// What is copied of an instance.
    pub(super) fn original_of(instance: ObjectId, options: &mut Options) -> Result<Original> {
        let (snapshot, instance_only) = (options.parsed("snapshot")?, options.flag("instance-only")?);
        Ok(Original { instance, snapshot, instance_only })
    }

    pub(super) fn source(values: Values) -> Result<Source> {
        let mut options = Options::new(values);
        let source = match options.text("type")?.as_str() {
            "image" => Source::Image(options.take("image")?.ok_or_else(|| invalid("the source names no image"))?),
            "empty" => Source::Empty,
            "copy" => {
                let from: OwnedObjectPath = options.take("instance")?.ok_or_else(|| invalid("the source names no instance"))?;
                Source::Copy(Self::original_of(id_of(&from)?, &mut options)?)
            }
            other => return Err(invalid(format!("unknown source {}", lxhost_model::name::quoted(other)))),
        };
        options.done()?;
        Ok(source)
    }

    pub(super) fn bulk_verb(verb: &str, options: &mut Options) -> Result<BulkVerb> {
        let (force, seconds) = super::instance::stop_options(options)?;
        let autostart = options.flag("autostart")?;
        Ok(match verb {
            "start" => BulkVerb::Start { boot: autostart },
            "stop" => BulkVerb::Stop { force, seconds, shutdown: autostart },
            "restart" => BulkVerb::Restart { force, seconds },
            "freeze" => BulkVerb::Freeze,
            "thaw" => BulkVerb::Thaw,
            "delete" => BulkVerb::Delete { force },
            other => return Err(invalid(format!("unknown verb {}", lxhost_model::name::quoted(other)))),
        })
    }
}

/// The filter of lists that select by project only.
fn project_filter(values: Values) -> Result<Option<ProjectName>> {
    let mut options = Options::new(values);
    let project = options.parsed("project")?;
    options.done()?;
    Ok(project)
}

#[zbus::interface(name = "org.lxhost1.Manager")]
impl Manager {
    #[zbus(out_args("instance"))]
    async fn get_instance(&self, project: &str, name: &str) -> Result<OwnedObjectPath, Failure> {
        let state = self.bus.engine.state();
        let project = project_of(project)?;
        let gone = || Error::new(Kind::NoSuchInstance, not_found(&state, &project, name));
        let found = name.parse().ok().and_then(|name| state.instance(&project, &name));
        Ok(object(path::instance(found.ok_or_else(gone)?.id))?)
    }

    #[zbus(out_args("image"))]
    async fn get_image(&self, project: &str, alias_or_fingerprint: &str) -> Result<OwnedObjectPath, Failure> {
        let project = project_of(project)?;
        let image = image::find(&self.bus.engine.state(), &project, alias_or_fingerprint)?;
        Ok(object(path::image(&image.fingerprint))?)
    }

    #[zbus(out_args("network"))]
    async fn get_network(&self, project: &str, name: &str) -> Result<OwnedObjectPath, Failure> {
        let project = project_of(project)?;
        let state = self.bus.engine.state();
        let found = name.parse().ok().and_then(|name| state.network(&project, &name));
        let network = found.ok_or_else(|| lxhost_engine::network::missing(&state, &project, name))?;
        Ok(object(path::network(network.id))?)
    }

    #[zbus(name = "GetACL", out_args("acl"))]
    async fn get_acl(&self, project: &str, name: &str) -> Result<OwnedObjectPath, Failure> {
        let project = project_of(project)?;
        let state = self.bus.engine.state();
        let gone = || Error::new(Kind::NoSuchAcl, format!("ACL {} does not exist", lxhost_model::name::quoted(name)));
        let acl = state.acl(&project, &lookup(name, Kind::NoSuchAcl, "ACL")?).ok_or_else(gone)?;
        Ok(object(path::acl(acl.id))?)
    }

    #[zbus(out_args("profile"))]
    async fn get_profile(&self, project: &str, name: &str) -> Result<OwnedObjectPath, Failure> {
        let project = project_of(project)?;
        let state = self.bus.engine.state();
        let gone = || Error::new(Kind::NoSuchProfile, format!("profile {} does not exist", lxhost_model::name::quoted(name)));
        let profile = state.profile(&project, &lookup(name, Kind::NoSuchProfile, "profile")?).ok_or_else(gone)?;
        Ok(object(path::profile(profile.id))?)
    }

    #[zbus(out_args("pool"))]
    async fn get_pool(&self, name: &str) -> Result<OwnedObjectPath, Failure> {
        let state = self.bus.engine.state();
        let gone = || Error::new(Kind::NoSuchPool, format!("pool {} does not exist", lxhost_model::name::quoted(name)));
        let pool = state.pool(&lookup(name, Kind::NoSuchPool, "pool")?).ok_or_else(gone)?;
        Ok(object(path::pool(pool.id))?)
    }

    #[zbus(out_args("instances", "next"))]
    async fn list_instances(&self, filter: Values, cursor: &str, limit: u32) -> Result<(Vec<InstanceRow>, String), Failure> {
        let rows = rows::instances(&self.bus.engine, &InstanceFilter::new(filter)?)?;
        Ok(rows::page(rows, |row| format!("{}/{}", row.project, row.name), cursor, limit))
    }

    #[zbus(out_args("images", "next"))]
    async fn list_images(&self, filter: Values, cursor: &str, limit: u32) -> Result<(Vec<ImageRow>, String), Failure> {
        let project = project_filter(filter)?;
        let state = self.bus.engine.state();
        let images = state.images.values().filter(|image| project.as_ref().is_none_or(|project| *project == image.project));
        let mut rows = images.map(|image| rows::image(image)).collect::<Result<Vec<_>>>()?;
        rows.sort_by(|a, b| a.fingerprint.cmp(&b.fingerprint));
        Ok(rows::page(rows, |row| row.fingerprint.clone(), cursor, limit))
    }

    #[zbus(out_args("images"))]
    async fn list_remote_images(&self, #[zbus(header)] header: Header<'_>, remote: &str) -> Result<Vec<RemoteImageRow>, Failure> {
        let _call = self.bus.caller(&header).await?;
        let images = image::source(self.bus.engine.ports(), remote)?.list().await?;
        let rows = images.into_iter().map(|image| RemoteImageRow {
            alias: image.alias.to_string(),
            also: image.also.iter().map(ToString::to_string).collect(),
            architecture: image.architecture,
            description: image.description,
        });
        Ok(rows.collect())
    }

    #[zbus(out_args("networks", "next"))]
    async fn list_networks(&self, filter: Values, cursor: &str, limit: u32) -> Result<(Vec<NetworkRow>, String), Failure> {
        let project = project_filter(filter)?;
        let state = self.bus.engine.state();
        let mut rows = vec![];
        for network in
            state.networks.values().filter(|network| project.as_ref().is_none_or(|project| *project == network.project))
        {
            let up = self.bus.engine.ports().networks.driver(&network.kind)?.is_up(network).await.unwrap_or(false);
            rows.push(rows::network(network, up)?);
        }
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(rows::page(rows, |row| row.name.clone(), cursor, limit))
    }

    #[zbus(name = "ListACLs", out_args("acls", "next"))]
    async fn list_acls(&self, filter: Values, cursor: &str, limit: u32) -> Result<(Vec<AclRow>, String), Failure> {
        let project = project_filter(filter)?;
        let state = self.bus.engine.state();
        let acls = state.acls.values().filter(|acl| project.as_ref().is_none_or(|project| *project == acl.project));
        let mut rows = acls.map(|acl| rows::acl(&state, acl)).collect::<Result<Vec<_>>>()?;
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(rows::page(rows, |row| row.name.clone(), cursor, limit))
    }

    #[zbus(out_args("profiles", "next"))]
    async fn list_profiles(&self, filter: Values, cursor: &str, limit: u32) -> Result<(Vec<ProfileRow>, String), Failure> {
        let project = project_filter(filter)?;
        let state = self.bus.engine.state();
        let profiles =
            state.profiles.values().filter(|profile| project.as_ref().is_none_or(|project| *project == profile.project));
        let mut rows = profiles.map(|profile| rows::profile(&state, profile)).collect::<Result<Vec<_>>>()?;
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(rows::page(rows, |row| row.name.clone(), cursor, limit))
    }

    #[zbus(out_args("pools"))]
    async fn list_pools(&self) -> Result<Vec<PoolRow>, Failure> {
        let state = self.bus.engine.state();
        let mut rows = state.pools.values().map(|pool| rows::pool(&state, pool)).collect::<Result<Vec<_>>>()?;
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(rows)
    }

    #[zbus(out_args("volumes", "next"))]
    async fn list_volumes(&self, filter: Values, cursor: &str, limit: u32) -> Result<(Vec<VolumeRow>, String), Failure> {
        let rows = rows::volumes(&self.bus.engine.state(), &VolumeFilter::new(filter)?)?;
        Ok(rows::page(rows, rows::volume_key, cursor, limit))
    }

    #[zbus(out_args("jobs", "next"))]
    async fn list_jobs(&self, filter: Values, cursor: &str, limit: u32) -> Result<(Vec<JobRow>, String), Failure> {
        options::none(filter)?;
        let rows = self.bus.engine.jobs().iter().map(rows::job).collect::<Result<Vec<_>>>()?;
        Ok(rows::page(rows, |row| format!("{:010}", row.id), cursor, limit))
    }

    #[zbus(out_args("states"))]
    async fn get_states(
        &self,
        instances: Vec<OwnedObjectPath>,
        fields: Vec<String>,
    ) -> Result<Vec<(OwnedObjectPath, Values)>, Failure> {
        if instances.len() > MAX_OBJECTS {
            return Err(Error::new(Kind::LimitsExceeded, format!("more than {MAX_OBJECTS} instances in one call")).into());
        }
        let fields = super::instance::Fields::new(&fields)?;
        let mut states = vec![];
        for path in instances {
            let id = id_of(&path)?;
            // One that is gone by now is left out.
            if let Ok(state) = super::instance::state(&self.bus.engine, id, &fields).await {
                states.push((path, state));
            }
        }
        Ok(states)
    }

    #[zbus(out_args("instance", "job"))]
    async fn create_instance(
        &self,
        #[zbus(header)] header: Header<'_>,
        project: &str,
        name: &str,
        source: Values,
        spec: Values,
        options: Values,
    ) -> Result<(OwnedObjectPath, OwnedObjectPath), Failure> {
        let mut options = Options::new(options);
        let shown = paths::take(&mut options)?;
        options.done()?;
        let name = if name.is_empty() { None } else { Some(name.parse()?) };
        let spec = Self::spec(spec)?;
        paths::check(&self.bus, &header, shown, &spec.devices, &Default::default()).await?;
        let random = self.bus.engine.host().random();
        let verb = Create::new(project_of(project)?, name, Self::source(source)?, spec, random)?;
        let id = verb.id();
        Ok((object(path::instance(id))?, self.bus.submit(&header, verb).await?))
    }

    #[zbus(out_args("instance", "job"))]
    async fn import_instance(
        &self,
        #[zbus(header)] header: Header<'_>,
        project: &str,
        data: zbus::OwnedFd,
        options: Values,
    ) -> Result<(OwnedObjectPath, OwnedObjectPath), Failure> {
        let mut options = Options::new(options);
        let wanted = Wanted {
            name: options.parsed("name")?,
            pool: options.parsed("pool")?,
            profiles: options.parsed_list("profiles")?,
            config: options.config("config")?,
        };
        options.done()?;
        let caller = self.bus.caller(&header).await?;
        let verb = self.bus.engine.read_backup(&caller, project_of(project)?, OwnedFd::from(data), wanted).await?;
        let id = verb.id();
        Ok((object(path::instance(id))?, self.bus.submit(&header, verb).await?))
    }

    #[zbus(out_args("job"))]
    async fn import_image(
        &self,
        #[zbus(header)] header: Header<'_>,
        project: &str,
        data: zbus::OwnedFd,
        format: &str,
        options: Values,
    ) -> Result<OwnedObjectPath, Failure> {
        if !matches!(format, "" | "auto") {
            return Err(invalid(format!("unknown format {}; the format is found out", lxhost_model::name::quoted(format))).into());
        }
        let mut options = Options::new(options);
        let files = ImageFiles { meta: OwnedFd::from(data), rootfs: options.fd("rootfs")? };
        let aliases = options.parsed_list("aliases")?.unwrap_or_default();
        let properties = options.config("properties")?;
        options.done()?;
        let verb = image::Import::new(project_of(project)?, files, aliases, properties, self.bus.engine.host().random())?;
        self.bus.submit(&header, verb).await
    }

    #[zbus(out_args("job"))]
    async fn pull_image(
        &self,
        #[zbus(header)] header: Header<'_>,
        project: &str,
        remote: &str,
        name: &str,
        options: Values,
    ) -> Result<OwnedObjectPath, Failure> {
        let mut options = Options::new(options);
        let aliases = options.parsed_list("aliases")?.unwrap_or_default();
        options.done()?;
        let verb = image::Pull::new(self.bus.engine.ports(), project_of(project)?, remote, name, aliases)?;
        self.bus.submit(&header, verb).await
    }

    #[zbus(out_args("network", "job"))]
    async fn create_network(
        &self,
        #[zbus(header)] header: Header<'_>,
        project: &str,
        name: &str,
        kind: &str,
        config: Config,
        options: Values,
    ) -> Result<(OwnedObjectPath, OwnedObjectPath), Failure> {
        let mut options = Options::new(options);
        let description = options.text("description")?;
        let trial = options.trial()?;
        options.done()?;
        let verb = network::Create::new(self.bus.engine.ports(), project_of(project)?, name.parse()?, kind, config)?;
        let verb = verb.described(description)?;
        let id = verb.id();
        Ok((object(path::network(id))?, tried(&self.bus, &header, verb, trial).await?))
    }

    #[zbus(out_args("pool", "job"))]
    async fn create_pool(
        &self,
        #[zbus(header)] header: Header<'_>,
        name: &str,
        driver: &str,
        config: Config,
        options: Values,
    ) -> Result<(OwnedObjectPath, OwnedObjectPath), Failure> {
        let mut options = Options::new(options);
        let description = options.text("description")?;
        options.done()?;
        let verb = pool::Create::new(self.bus.engine.ports(), name.parse()?, driver, config).await?.described(description)?;
        let id = verb.id();
        Ok((object(path::pool(id))?, self.bus.submit(&header, verb).await?))
    }

    #[zbus(name = "CreateACL", out_args("acl"))]
    #[allow(clippy::too_many_arguments)]
    async fn create_acl(
        &self,
        #[zbus(header)] header: Header<'_>,
        project: &str,
        name: &str,
        config: Config,
        ingress: Vec<Config>,
        egress: Vec<Config>,
        options: Values,
    ) -> Result<OwnedObjectPath, Failure> {
        let mut options = Options::new(options);
        let description = options.text("description")?;
        options.done()?;
        let host = self.bus.engine.host();
        let acl = Acl {
            id: ObjectId::from_random(host.random()),
            project: project_of(project)?,
            name: name.parse()?,
            description,
            config,
            ingress,
            egress,
            created: host.now(),
            generation: 0,
        };
        let id = acl.id;
        let caller = self.bus.caller(&header).await?;
        self.bus.engine.perform(&caller, acl::Create::new(acl)?).await?;
        self.bus.publisher.settled().await;
        Ok(object(path::acl(id))?)
    }

    #[zbus(out_args("profile"))]
    async fn create_profile(
        &self,
        #[zbus(header)] header: Header<'_>,
        project: &str,
        name: &str,
        config: Config,
        devices: Devices,
        options: Values,
    ) -> Result<OwnedObjectPath, Failure> {
        let mut options = Options::new(options);
        let (description, shown) = (options.text("description")?, paths::take(&mut options)?);
        options.done()?;
        let devices = options::devices(devices)?;
        paths::check(&self.bus, &header, shown, &devices, &Default::default()).await?;
        let host = self.bus.engine.host();
        let profile = Profile {
            id: ObjectId::from_random(host.random()),
            project: project_of(project)?,
            name: name.parse()?,
            description,
            config,
            devices,
            created: host.now(),
            generation: 0,
        };
        let id = profile.id;
        let caller = self.bus.caller(&header).await?;
        self.bus.engine.perform(&caller, profile::Create::new(profile)?).await?;
        self.bus.publisher.settled().await;
        Ok(object(path::profile(id))?)
    }

    #[zbus(out_args("job"))]
    async fn bulk_operation(
        &self,
        #[zbus(header)] header: Header<'_>,
        verb: &str,
        instances: Vec<OwnedObjectPath>,
        options: Values,
    ) -> Result<OwnedObjectPath, Failure> {
        if instances.len() > MAX_OBJECTS {
            return Err(Error::new(Kind::LimitsExceeded, format!("more than {MAX_OBJECTS} instances in one call")).into());
        }
        let mut options = Options::new(options);
        let verb = Self::bulk_verb(verb, &mut options)?;
        options.done()?;
        let instances = instances.iter().map(|path| id_of(path)).collect::<Result<Vec<_>>>()?;
        let caller = self.bus.caller(&header).await?;
        let job = self.bus.engine.bulk(&caller, Bulk { verb, instances }).await?;
        Ok(self.bus.job(job).await?)
    }

    #[zbus(out_args("lost"))]
    async fn find_lost(&self, #[zbus(header)] header: Header<'_>, options: Values) -> Result<Vec<LostRow>, Failure> {
        let sources = sources_of(options)?;
        let caller = self.bus.caller(&header).await?;
        Ok(self.bus.engine.lost(&caller, &sources).await?.iter().map(rows::lost).collect())
    }

    #[zbus(out_args("job"))]
    async fn recover(&self, #[zbus(header)] header: Header<'_>, options: Values) -> Result<OwnedObjectPath, Failure> {
        self.bus.submit(&header, Recover::new(sources_of(options)?)).await
    }

    async fn tend(&self, #[zbus(header)] header: Header<'_>, options: Values) -> Result<(), Failure> {
        let mut options = Options::new(options);
        let wait = options.flag("wait")?;
        options.done()?;
        let caller = self.bus.caller(&header).await?;
        Ok(self.bus.engine.tend(&caller, wait).await?)
    }

    #[zbus(out_args("permissions"))]
    async fn get_permissions(&self, #[zbus(header)] header: Header<'_>) -> Result<HashMap<String, String>, Failure> {
        let caller = self.bus.caller(&header).await?;
        let permissions = self.bus.engine.ports().authority.permissions(&caller).await?;
        Ok(permissions.into_iter().map(|(action, answer)| (action.id().to_owned(), answer.to_owned())).collect())
    }

    #[zbus(out_args("info"))]
    async fn get_server_info(&self) -> Result<Values, Failure> {
        Ok(super::server::info(&self.bus.engine).await?)
    }

    #[zbus(signal)]
    async fn instance_state_changed(
        emitter: &SignalEmitter<'_>,
        instance: ObjectPath<'_>,
        project: &str,
        name: &str,
        old: &str,
        new: &str,
        reason: &str,
    ) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn job_new(
        emitter: &SignalEmitter<'_>,
        id: u32,
        job: ObjectPath<'_>,
        verb: &str,
        objects: Vec<ObjectPath<'_>>,
    ) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn job_removed(
        emitter: &SignalEmitter<'_>,
        id: u32,
        job: ObjectPath<'_>,
        result: &str,
        error: &str,
    ) -> zbus::Result<()>;

    #[zbus(property(emits_changed_signal = "const"))]
    fn version(&self) -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn api_level(&self) -> u32 {
        1
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn instance_count(&self) -> u32 {
        self.bus.engine.state().instances.len() as u32
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn running_count(&self) -> u32 {
        let runs = |instance: &&std::sync::Arc<lxhost_model::Instance>| instance.status == lxhost_model::Status::Running;
        self.bus.engine.state().instances.values().filter(runs).count() as u32
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn job_count(&self) -> u32 {
        self.bus.engine.jobs().iter().filter(|job| job.result.is_none()).count() as u32
    }
}

/// That an instance does not exist, and which may have been meant.
fn not_found(state: &lxhost_engine::ports::State, project: &ProjectName, name: &str) -> String {
    let names = state.instance_names.keys().filter(|key| key.0 == *project).map(|key| key.1.as_str());
    let hint = lxhost_model::config::nearest(name, names).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    format!("instance {} does not exist{hint}", lxhost_model::name::quoted(name))
}
