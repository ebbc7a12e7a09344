//! Where the state lies: room, and whether its file system can be idmapped by this kernel.

use super::kernel::parse_release;
use super::{fail, ok, warn};
use lxhost_engine::ports::Check;
use lxhost_model::size::format_bytes;
use std::path::Path;

/// Magic numbers of statfs(2), names, and the first kernel that can idmap mounts of them
/// (mount_setattr(2)).
const FILE_SYSTEMS: &[(u64, &str, (u32, u32))] = &[
    (0xef53, "ext4", (5, 12)),
    (0x5846_5342, "xfs", (5, 12)),
    (0x9123_683e, "btrfs", (5, 15)),
    (0xf2f5_2010, "f2fs", (5, 18)),
    (0x0102_1994, "tmpfs", (6, 3)),
    (0x2fc1_2fc1, "zfs", (5, 12)),
    (0xca45_1a4e, "bcachefs", (6, 7)),
];

const LITTLE: u64 = 2 << 30;
const NOTHING: u64 = 100 << 20;

pub(super) fn checks(state_dir: &Path, release: &str) -> Vec<Check> {
    vec![room(state_dir), idmapped(state_dir, release)]
}

fn room(state_dir: &Path) -> Check {
    let name = "disk";
    let place = state_dir.display();
    match rustix::fs::statvfs(state_dir) {
        Err(error) => fail(name, format!("{place}: {error}"), "make the directory, or mount what belongs there"),
        Ok(found) => judge_room(&place.to_string(), found.f_bavail.saturating_mul(found.f_frsize)),
    }
}

fn judge_room(place: &str, free: u64) -> Check {
    let message = format!("{} free in {place}", format_bytes(free));
    match free {
        0..NOTHING => fail("disk", message, "make room: delete instances or images, or enlarge the file system"),
        NOTHING..LITTLE => warn("disk", message, "make room: delete instances or images, or enlarge the file system"),
        _ => ok("disk", message),
    }
}

fn idmapped(state_dir: &Path, release: &str) -> Check {
    match rustix::fs::statfs(state_dir) {
        Err(error) => fail("idmapped mounts", format!("{}: {error}", state_dir.display()), "make the directory"),
        Ok(found) => judge_type(found.f_type as u64 & 0xffff_ffff, release),
    }
}

fn judge_type(magic: u64, release: &str) -> Check {
    let name = "idmapped mounts";
    let elsewhere = "put the pool on ext4, xfs or btrfs";
    let Some((_, file_system, since)) = FILE_SYSTEMS.iter().find(|(m, ..)| *m == magic) else {
        return warn(name, format!("not known whether this file system ({magic:#x}) can do them"), elsewhere);
    };
    match parse_release(release) {
        Some(kernel) if kernel >= *since => ok(name, format!("{file_system} can do them")),
        _ => fail(name, format!("{file_system} can do them since Linux {}.{}", since.0, since.1), elsewhere),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_judged_by_what_an_image_needs() {
        for (free, state) in [(0, "fail"), (50 << 20, "fail"), (1 << 30, "warn"), (10 << 30, "ok")] {
            assert_eq!(judge_room("/x", free).state, state, "{free}");
        }
    }

    #[test]
    fn a_file_system_is_judged_with_the_kernel_it_runs_on() {
        assert_eq!(judge_type(0xef53, "6.12.0").state, "ok");
        assert_eq!(judge_type(0x0102_1994, "6.1.0").state, "fail");
        assert_eq!(judge_type(0x6969, "6.12.0").state, "warn", "NFS");
    }

    #[test]
    fn a_missing_directory_is_named() {
        let check = room(Path::new("/nonexistent/lxhost"));
        assert_eq!(check.state, "fail");
        assert!(check.message.starts_with("/nonexistent/lxhost: "), "{check:?}");
    }
}
