//! Rows of lists, made from records; and pages of rows.

use super::invalid;
use super::options::Options;
use lxhost_dbus::path;
use lxhost_dbus::wire::{AclRow, ImageRow, InstanceRow, JobRow, LostRow, NetworkRow, PoolRow, ProfileRow, Values, VolumeRow};
use lxhost_engine::ports::State;
use lxhost_engine::recover::Found;
use lxhost_engine::volume::User;
use lxhost_engine::{Engine, JobView, Live, Result};
use lxhost_model::name::{PoolName, ProjectName};
use lxhost_model::{Acl, Image, Instance, Network, Pool, Profile, Status, Volume};
use std::net::IpAddr;
use zbus::wire::OwnedObjectPath;

/// Most rows of a page.
const MAX_PAGE: u32 = 1000;

/// An object path of ours, which is always valid.
pub(super) fn object(path: String) -> Result<OwnedObjectPath> {
    OwnedObjectPath::try_from(path).map_err(|e| lxhost_engine::Error::failed(e.to_string()))
}

/// The path that stands for no object.
pub(super) fn no_object() -> Result<OwnedObjectPath> {
    object(path::NONE.to_owned())
}

/// Cuts a page out of `rows`, which are sorted by `key`; the cursor is the key of the last row before it.
pub(super) fn page<T>(rows: Vec<T>, key: impl Fn(&T) -> String, cursor: &str, limit: u32) -> (Vec<T>, String) {
    let limit = if limit == 0 { MAX_PAGE } else { limit.min(MAX_PAGE) } as usize;
    let mut rest = rows.into_iter().skip_while(|row| !cursor.is_empty() && key(row).as_str() <= cursor);
    let page: Vec<T> = rest.by_ref().take(limit).collect();
    let next = match (rest.next(), page.last()) {
        (Some(_), Some(last)) => key(last),
        _ => String::new(),
    };
    (page, next)
}

/// What `ListInstances` selects by.
pub(super) struct InstanceFilter {
    project: Option<ProjectName>,
    states: Option<Vec<Status>>,
    name: Option<String>,
    kind: Option<String>,
}

impl InstanceFilter {
    pub(super) fn new(values: Values) -> Result<Self> {
        let mut options = Options::new(values);
        let filter = InstanceFilter {
            project: options.parsed("project")?,
            states: options.parsed_list("state")?,
            name: options.take("name")?,
            kind: options.take("type")?,
        };
        if filter.name.as_ref().is_some_and(|glob| glob.len() > 255) {
            return Err(invalid("the name pattern is too long"));
        }
        options.done()?;
        Ok(filter)
    }

    fn takes(&self, instance: &Instance) -> bool {
        self.project.as_ref().is_none_or(|project| *project == instance.project)
            && self.states.as_ref().is_none_or(|states| states.contains(&instance.status))
            && self.kind.as_ref().is_none_or(|kind| kind == instance.kind.as_str())
            && self.name.as_ref().is_none_or(|glob| matches(glob.as_bytes(), instance.name.as_str().as_bytes()))
    }
}

/// Whether `name` fits a pattern with `*` and `?`. Linear but for one point to fall back to.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == name[n] => (p, n) = (p + 1, n + 1),
            _ => match star {
                Some((after, from)) => {
                    star = Some((after, from + 1));
                    (p, n) = (after + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

pub(super) fn instances(engine: &Engine, filter: &InstanceFilter) -> Result<Vec<InstanceRow>> {
    let state = engine.state();
    let ordered = state.instance_names.values().filter_map(|id| state.instances.get(id));
    ordered.filter(|instance| filter.takes(instance)).map(|instance| row(instance, engine.live(instance.id))).collect()
}

fn row(instance: &Instance, live: Option<Live>) -> Result<InstanceRow> {
    Ok(InstanceRow {
        path: object(path::instance(instance.id))?,
        project: instance.project.to_string(),
        name: instance.name.to_string(),
        kind: instance.kind.as_str().to_owned(),
        state: instance.status.to_string(),
        state_usec: instance.status_since,
        generation: instance.generation,
        addresses: live.map(|live| addresses(&live)).unwrap_or_default(),
    })
}

/// Addresses others can reach, `address@interface`, IPv4 first.
pub(super) fn addresses(live: &Live) -> Vec<String> {
    let reachable = |ip: &IpAddr| match ip {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
    };
    let mut shown: Vec<&(String, IpAddr)> = live.addresses.iter().filter(|(name, ip)| name != "lo" && reachable(ip)).collect();
    shown.sort_by_key(|(name, ip)| (ip.is_ipv6(), name.clone(), *ip));
    shown.into_iter().map(|(name, ip)| format!("{ip}@{name}")).collect()
}

pub(super) fn image(image: &Image) -> Result<ImageRow> {
    Ok(ImageRow {
        path: object(path::image(&image.fingerprint))?,
        project: image.project.to_string(),
        fingerprint: image.fingerprint.to_string(),
        aliases: image.aliases.iter().map(ToString::to_string).collect(),
        architecture: image.architecture.clone(),
        size: image.size,
        uploaded: image.uploaded,
        description: image.description().to_owned(),
    })
}

/// Subnets of a network, IPv4 first.
pub(super) fn subnets(network: &Network) -> Vec<String> {
    let keys = ["ipv4.address", "ipv6.address"].into_iter();
    keys.filter_map(|key| network.config.get(key)).filter(|value| value.contains('/')).cloned().collect()
}

pub(super) fn network(network: &Network, up: bool) -> Result<NetworkRow> {
    Ok(NetworkRow {
        path: object(path::network(network.id))?,
        project: network.project.to_string(),
        name: network.name.to_string(),
        kind: network.kind.clone(),
        state: if up { "up" } else { "down" }.to_owned(),
        managed: true,
        subnets: subnets(network),
    })
}

pub(super) fn acl(state: &State, acl: &Acl) -> Result<AclRow> {
    Ok(AclRow {
        path: object(path::acl(acl.id))?,
        project: acl.project.to_string(),
        name: acl.name.to_string(),
        description: acl.description.clone(),
        used_by: lxhost_engine::acl::users(state, acl).count() as u32,
    })
}

pub(super) fn profile(state: &State, profile: &Profile) -> Result<ProfileRow> {
    let uses =
        |instance: &&std::sync::Arc<Instance>| instance.project == profile.project && instance.profiles.contains(&profile.name);
    Ok(ProfileRow {
        path: object(path::profile(profile.id))?,
        project: profile.project.to_string(),
        name: profile.name.to_string(),
        description: profile.description.clone(),
        used_by: state.instances.values().filter(uses).count() as u32,
    })
}

pub(super) fn pool(state: &State, pool: &Pool) -> Result<PoolRow> {
    Ok(PoolRow {
        path: object(path::pool(pool.id))?,
        name: pool.name.to_string(),
        driver: pool.driver.clone(),
        source: pool.config.get("source").cloned().unwrap_or_default(),
        used_by: state.instances.values().filter(|instance| instance.pool == pool.name).count() as u32,
    })
}

/// What `ListVolumes` selects by.
pub(super) struct VolumeFilter {
    project: Option<ProjectName>,
    pool: Option<PoolName>,
}

impl VolumeFilter {
    pub(super) fn new(values: Values) -> Result<Self> {
        let mut options = Options::new(values);
        let filter = VolumeFilter { project: options.parsed("project")?, pool: options.parsed("pool")? };
        options.done()?;
        Ok(filter)
    }

    fn takes(&self, volume: &Volume) -> bool {
        self.project.as_ref().is_none_or(|project| *project == volume.project)
            && self.pool.as_ref().is_none_or(|pool| *pool == volume.pool)
    }
}

/// The volumes that `filter` takes, in the order of their keys.
pub(super) fn volumes(state: &State, filter: &VolumeFilter) -> Result<Vec<VolumeRow>> {
    let taken = state.volumes.values().filter(|volume| filter.takes(volume));
    let mut rows = taken.map(|volume| self::volume(state, volume)).collect::<Result<Vec<_>>>()?;
    rows.sort_by_key(volume_key);
    Ok(rows)
}

/// What a page of volumes goes on behind.
pub(super) fn volume_key(row: &VolumeRow) -> String {
    format!("{}/{}/{}", row.pool, row.project, row.name)
}

fn volume(state: &State, volume: &Volume) -> Result<VolumeRow> {
    let user = |user: User| {
        let (path, name) = match &user {
            User::Instance(instance) => (path::instance(instance.id), instance.name.to_string()),
            User::Profile(profile) => (path::profile(profile.id), profile.name.to_string()),
        };
        Ok((object(path)?, name))
    };
    Ok(VolumeRow {
        path: object(path::volume(volume.id))?,
        project: volume.project.to_string(),
        pool: volume.pool.to_string(),
        name: volume.name.to_string(),
        content_type: volume.content.as_str().to_owned(),
        description: volume.description.clone(),
        used_by: lxhost_engine::volume::users(state, volume).into_iter().map(user).collect::<Result<_>>()?,
    })
}

pub(super) fn job(job: &JobView) -> Result<JobRow> {
    Ok(JobRow {
        id: job.id,
        path: object(path::job(job.id))?,
        verb: job.verb.to_owned(),
        state: job.state.as_str().to_owned(),
        phase: job.phase.clone(),
        created: job.created,
        progress: job.progress,
    })
}

/// What no record knows.
pub(super) fn lost(found: &Found) -> LostRow {
    let row = |kind: &str, name: String, place: &str, obstacle: &str| LostRow {
        kind: kind.to_owned(),
        name,
        place: place.to_owned(),
        obstacle: obstacle.to_owned(),
    };
    match found {
        Found::Pool(pool) => row("pool", pool.name.to_string(), pool.config.get("source").map_or("", String::as_str), ""),
        Found::Acl(acl) => row("acl", acl.name.to_string(), "", ""),
        Found::Network(network) => row("network", network.name.to_string(), "", ""),
        Found::Profile(profile) => row("profile", profile.name.to_string(), "", ""),
        Found::Image(image) => row("image", image.fingerprint.short().to_string(), "", ""),
        Found::Volume(volume) => row("volume", volume.name.to_string(), volume.pool.as_str(), ""),
        Found::VolumeSnapshot(snapshot) => {
            let name = format!("{}/{}", snapshot.volume.name, snapshot.name);
            row("snapshot", name, snapshot.volume.pool.as_str(), "")
        }
        Found::Instance(instance) => row("instance", instance.name.to_string(), instance.pool.as_str(), ""),
        Found::Snapshot(snapshot) => {
            let name = format!("{}/{}", snapshot.instance.name, snapshot.name);
            row("snapshot", name, snapshot.instance.pool.as_str(), "")
        }
        Found::Trashed(trashed) => row("trash", trashed.what.title(), trashed.what.pool().as_str(), ""),
        Found::Left { kind, name, place, why } => row(kind, name.clone(), place, why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_selects_like_a_shell() {
        for (pattern, name, fits) in
            [("c*", "c1", true), ("*", "", true), ("c?", "c12", false), ("*b*b", "abcb", true), ("a", "b", false)]
        {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn pages_join_to_the_whole_list() {
        let rows: Vec<u32> = (100..125).collect();
        let (mut all, mut cursor) = (vec![], String::new());
        loop {
            let (page, next) = page(rows.clone(), u32::to_string, &cursor, 10);
            all.extend(page);
            if next.is_empty() {
                break;
            }
            cursor = next;
        }
        assert_eq!(all, rows);
    }
}
