//! Proxies by a process: its command line, and in what words it has failed.

use crate::network::bridge::holder::holder;
use lxhost_engine::ports::{ProxyPlan, RelaySpec, RelayStart, Relays};
use lxhost_model::device::Proxy;
use lxhost_model::{Error, Kind, Result};
use rustix::fs::{FileType, lstat, unlink};
use rustix::io::Errno;
use std::net::SocketAddr;
use std::path::Path;

/// Name of a proxy's unit. Neither name has a colon.
pub(super) fn unit(plan: &ProxyPlan) -> String {
    format!("lxhost-proxy-{}:{}.service", plan.machine, plan.device)
}

pub(super) async fn open(relays: &dyn Relays, proc: &Path, plan: &ProxyPlan, leader: u32) -> Result<()> {
    let spec = spec(plan, leader);
    if let Some(directory) = spec.writable.as_deref().filter(|directory| !directory.is_dir()) {
        return Err(Error::new(Kind::Conflict, format!("listen: there is no directory {}", directory.display())));
    }
    close(relays, plan).await?;
    match relays.start(&spec).await? {
        RelayStart::Listens => Ok(()),
        RelayStart::Refused { step, errno } => Err(explained(proc, plan, leader, &step, Errno::from_raw_os_error(errno))),
    }
}

pub(super) async fn close(relays: &dyn Relays, plan: &ProxyPlan) -> Result<()> {
    relays.stop(&unit(plan)).await?;
    // The relay has left the host for good, and cannot remove it.
    let file = plan.proxy.listen.file().filter(|_| !plan.proxy.inside);
    if let Some(path) = file.filter(|path| lstat(*path).is_ok_and(|found| is_socket(&found))) {
        let removed = unlink(path).or_else(|errno| if errno == Errno::NOENT { Ok(()) } else { Err(errno) });
        removed.map_err(|errno| Error::io(format!("remove {path}"), &errno.into()))?;
    }
    Ok(())
}

fn is_socket(found: &rustix::fs::Stat) -> bool {
    FileType::from_raw_mode(found.st_mode) == FileType::Socket
}

fn spec(plan: &ProxyPlan, leader: u32) -> RelaySpec {
    let proxy = &plan.proxy;
    let mut arguments = vec!["--guest".to_owned(), leader.to_string()];
    arguments.extend(["--scope".to_owned(), format!("lxhost-{}.scope", plan.machine)]);
    if proxy.inside {
        arguments.push("--inside".to_owned());
    }
    if proxy.announces {
        arguments.push("--announce".to_owned());
    }
    let (uid, gid, mode) = proxy.socket;
    let owner = format!("{}:{}:{}", uid.unwrap_or(0), gid.unwrap_or(0), mode.unwrap_or(0o644));
    arguments.extend(["--socket".to_owned(), owner]);
    if let (Some(_), _) | (_, Some(_)) = proxy.user {
        let (uid, gid) = proxy.user;
        arguments.extend(["--user".to_owned(), format!("{}:{}", uid.unwrap_or(0), gid.unwrap_or(0))]);
    }
    arguments.push("--".to_owned());
    arguments.extend(proxy.pairs().into_iter().flat_map(|(listen, connect)| [listen, connect]));
    let file = proxy.listen.file().filter(|_| !proxy.inside);
    RelaySpec {
        unit: unit(plan),
        description: format!("Proxy {} of container {}", plan.device, plan.machine),
        machine: plan.machine.clone(),
        arguments,
        writable: file.and_then(|path| Path::new(path).parent()).map(Path::to_owned),
        owns_files: file.is_some() || (proxy.inside && proxy.connect.file().is_some()),
    }
}

/// What a relay says, for people.
fn explained(proc: &Path, plan: &ProxyPlan, leader: u32, step: &str, errno: Errno) -> Error {
    let Some(place) = step.strip_prefix("listen ") else {
        return Error::failed(format!("the proxy failed to {step}: {errno}"));
    };
    let view = if plan.proxy.inside { leader.to_string() } else { "self".to_owned() };
    let side = if plan.proxy.inside { "the instance" } else { "this host" };
    match errno {
        Errno::ADDRINUSE => taken(proc, &view, place, side),
        Errno::ADDRNOTAVAIL => Error::new(Kind::Conflict, format!("listen: {side} does not have the address of {place}")),
        Errno::NOENT | Errno::NOTDIR => Error::new(Kind::Conflict, format!("listen: {side} has no directory for {place}")),
        Errno::INVAL if place.starts_with("unix:") => Error::new(Kind::InvalidConfig, format!("listen: {place}: {errno}")),
        _ => Error::failed(format!("listen: {place}: {errno}")),
    }
}

/// That a place is taken, and by whom.
fn taken(proc: &Path, view: &str, place: &str, side: &str) -> Error {
    let who = place.split_once(':').and_then(|(protocol, address)| {
        let address: SocketAddr = address.parse().ok()?;
        holder(proc, view, protocol, address.port(), address.ip())
    });
    let by = who.map(|who| format!(" by {who}")).unwrap_or_default();
    Error::new(Kind::Conflict, format!("listen: {place} of {side} is taken{by}"))
}

/// Refuses ports on which somebody on this host listens.
pub(super) fn refuse_taken(proc: &Path, proxy: &Proxy) -> Result<()> {
    let Some((ports, address)) = proxy.listen.ports() else { return Ok(()) };
    for port in ports {
        if holder(proc, "self", proxy.listen.protocol(), *port, address).is_some() {
            let place = format!("{}:{}", proxy.listen.protocol(), SocketAddr::new(address, *port));
            return Err(taken(proc, "self", &place, "this host"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::plan_of;
    use super::*;

    #[test]
    fn the_command_line_has_every_port_and_what_the_keys_say() {
        let keys =
            [("listen", "tcp:0.0.0.0:80-81"), ("connect", "unix:/run/web.sock"), ("bind", "guest"), ("security.uid", "33")];
        let spec = spec(&plan_of(&keys, None), 7);
        let wanted = "--guest 7 --scope lxhost-c1.scope --inside --socket 0:0:420 --user 33:0 -- \
                      tcp:0.0.0.0:80 unix:/run/web.sock tcp:0.0.0.0:81 unix:/run/web.sock";
        assert_eq!(spec.arguments.join(" "), wanted);
        assert_eq!((spec.unit.as_str(), spec.writable, spec.owns_files), ("lxhost-proxy-c1:web.service", None, true));
    }

    #[test]
    fn a_socket_file_of_the_host_is_made_where_it_may_be_written() {
        let keys = [("listen", "unix:/run/web/x"), ("connect", "tcp:127.0.0.1:80"), ("proxy_protocol", "true"), ("mode", "0660")];
        let spec = spec(&plan_of(&keys, None), 7);
        assert!(spec.arguments.contains(&"--announce".to_owned()) && spec.arguments.contains(&"0:0:432".to_owned()));
        assert_eq!((spec.writable.as_deref(), spec.owns_files), (Some(Path::new("/run/web")), true));
    }

    #[test]
    fn a_port_that_is_taken_names_who_has_it() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let place = format!("tcp:{}", taken.local_addr().unwrap());
        let plan = plan_of(&[("listen", &place), ("connect", "tcp:127.0.0.1:80")], None);
        let error = explained(Path::new("/proc"), &plan, 7, &format!("listen {place}"), Errno::ADDRINUSE);
        let own = format!("(process {})", std::process::id());
        assert!(error.kind == Kind::Conflict && error.message.contains(&own), "{error}");
        assert_eq!(refuse_taken(Path::new("/proc"), &plan.proxy).unwrap_err().kind, Kind::Conflict);
        let other = explained(Path::new("/proc"), &plan, 7, "enter the instance", Errno::PERM);
        assert!(other.kind == Kind::Failed && other.message.contains("enter the instance"), "{other}");
    }
}
