//! Lists of the API that come in pages, read to their end.

use crate::bus::{PAGE, Session};
use crate::failure::Failure;
use lxhost_dbus::Options;
use lxhost_dbus::wire::{AclRow, ImageRow, InstanceRow, JobRow, NetworkRow, ProfileRow, TrashRow};

macro_rules! pages {
    ($(#[$doc:meta])* $name:ident, $method:ident, $row:ty) => {
        $(#[$doc])*
        pub(crate) async fn $name(session: &Session, project: Option<&str>) -> Result<Vec<$row>, Failure> {
            let manager = session.manager().await?;
            let filter: Options<'_> = project.map(|p| ("project", p.into())).into_iter().collect();
            let mut all = Vec::new();
            let mut cursor = String::new();
            loop {
                let (mut rows, next) = manager.$method(&filter, &cursor, PAGE).await?;
                let more = !rows.is_empty() && !next.is_empty() && next != cursor;
                all.append(&mut rows);
                if !more {
                    return Ok(all);
                }
                cursor = next;
            }
        }
    };
}

pages!(/// Instances of a project, or of all.
    instances, list_instances, InstanceRow);
pages!(/// Images of a project, or of all.
    images, list_images, ImageRow);
pages!(/// Networks of a project, or of all.
    networks, list_networks, NetworkRow);
pages!(/// Network ACLs of a project, or of all.
    acls, list_acls, AclRow);
pages!(/// Profiles of a project, or of all.
    profiles, list_profiles, ProfileRow);
pages!(/// Jobs of a project, or of all.
    jobs, list_jobs, JobRow);

/// What is in the trash of a pool, or of all, what was deleted first comes first.
pub(crate) async fn trash(session: &Session, pool: Option<&str>) -> Result<Vec<TrashRow>, Failure> {
    let trash = session.trash().await?;
    let mut filter = Options::from([("project", session.project.as_str().into())]);
    filter.extend(pool.map(|pool| ("pool", pool.into())));
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let (mut rows, next) = trash.list(&filter, &cursor, PAGE).await?;
        let more = !rows.is_empty() && !next.is_empty() && next != cursor;
        all.append(&mut rows);
        if !more {
            return Ok(all);
        }
        cursor = next;
    }
}
