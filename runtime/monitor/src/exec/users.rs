//! Users and groups of the container, from its own `/etc/passwd` and `/etc/group`.
//!
//! Hostile text: read only in a process that is already inside the container, never in the monitor. Files are capped
//! and must be regular; what is not a proper line is skipped.

use std::os::fd::OwnedFd;

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;

/// Most bytes read of a file.
const MOST_BYTES: u64 = 4 << 20;
/// Most supplementary groups (NGROUPS_MAX is 65,536; nobody has a hundred).
const MOST_GROUPS: usize = 1024;

/// Who a program runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
    pub(crate) home: String,
    pub(crate) shell: String,
}

/// Why nobody was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    User,
    Group,
}

/// Looks up a user and, if not empty, a group, both by name or number. A number need not be in the files.
pub(crate) fn look_up(user: &str, group: &str) -> Result<User, Unknown> {
    let user = if user.is_empty() { "root" } else { user };
    let passwd = read("/etc/passwd").unwrap_or_default();
    let mut found = find_user(&passwd, user).ok_or(Unknown::User)?;
    let groups = read("/etc/group").unwrap_or_default();
    if group.is_empty() {
        found.groups = groups_of(&groups, &found.name, found.gid);
    } else {
        found.gid = find_group(&groups, group).ok_or(Unknown::Group)?;
        found.groups = vec![found.gid];
    }
    Ok(found)
}

fn read(path: &str) -> Result<String, Errno> {
    // A FIFO or a device must not make us wait.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file: OwnedFd = openat(CWD, path, flags, Mode::empty())?;
    if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    let mut bytes = Vec::new();
    let limited = std::io::Read::take(std::fs::File::from(file), MOST_BYTES);
    std::io::Read::read_to_end(&mut { limited }, &mut bytes).map_err(|_| Errno::IO)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The number of a user or group. To setresuid(2), -1 means: as it is, which is root.
fn id(digits: &str) -> Option<u32> {
    digits.parse().ok().filter(|number| *number != u32::MAX)
}

pub(crate) fn find_user(passwd: &str, wanted: &str) -> Option<User> {
    let number = id(wanted);
    let mut by_number = None;
    for line in passwd.lines() {
        let mut parts = line.split(':');
        let (Some(name), Some(_), Some(uid), Some(gid)) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let (Some(uid), Some(gid)) = (id(uid), id(gid)) else { continue };
        let is_named = name == wanted;
        if !is_named && (by_number.is_some() || number != Some(uid)) {
            continue;
        }
        let _comment = parts.next();
        let home = parts.next().filter(|home| home.starts_with('/')).unwrap_or("/").to_owned();
        let shell = parts.next().filter(|shell| shell.starts_with('/')).unwrap_or("/bin/sh").to_owned();
        let user = User { name: name.to_owned(), uid, gid, groups: Vec::new(), home, shell };
        if is_named {
            return Some(user);
        }
        by_number = Some(user);
    }
    by_number.or_else(|| match (wanted, number) {
        // An image may have no passwd at all and still has a root.
        ("root", _) => Some(unlisted("root", 0, "/root")),
        (_, Some(number)) => Some(unlisted(wanted, number, "/")),
        _ => None,
    })
}

fn unlisted(name: &str, uid: u32, home: &str) -> User {
    User { name: name.to_owned(), uid, gid: uid, groups: Vec::new(), home: home.to_owned(), shell: "/bin/sh".to_owned() }
}

fn group_lines(groups: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    groups.lines().filter_map(|line| {
        let mut parts = line.splitn(4, ':');
        let (name, _, gid) = (parts.next()?, parts.next()?, parts.next()?);
        Some((name, id(gid)?, parts.next().unwrap_or_default()))
    })
}

pub(crate) fn find_group(groups: &str, wanted: &str) -> Option<u32> {
    group_lines(groups).find(|(name, _, _)| *name == wanted).map(|(_, gid, _)| gid).or_else(|| id(wanted))
}

pub(crate) fn groups_of(groups: &str, user: &str, primary: u32) -> Vec<u32> {
    let mut found = vec![primary];
    for (_, gid, members) in group_lines(groups) {
        if found.len() < MOST_GROUPS && gid != primary && members.split(',').any(|member| member == user) {
            found.push(gid);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nbroken\nada:x:1000:1001:,,,:/home/ada:/usr/bin/zsh\n\
                          0:x:77:77::/nowhere:/bin/false\nrel:x:5:5::home:sh\n";
    const GROUP: &str = "root:x:0:\nsudo:x:27:ada,bob\nada:x:1001:\nadm:x:4:bob,ada\nbad:x:y:ada\n";

    #[test]
    fn a_user_is_found_by_name_and_by_number() {
        let ada = find_user(PASSWD, "ada").unwrap();
        assert_eq!((ada.uid, ada.gid, ada.home.as_str()), (1000, 1001, "/home/ada"));
        assert_eq!(find_user(PASSWD, "1000").unwrap().name, "ada");
    }

    #[test]
    fn a_name_made_of_digits_wins_over_the_number() {
        assert_eq!(find_user(PASSWD, "0").unwrap().uid, 77);
    }

    #[test]
    fn a_number_that_is_not_listed_is_still_a_user() {
        assert_eq!(find_user(PASSWD, "4242").unwrap().uid, 4242);
        assert_eq!(find_user(PASSWD, "4294967295"), None, "-1 means no change to setresuid(2)");
        assert_eq!(find_user(PASSWD, "nobody"), None);
    }

    #[test]
    fn a_user_or_group_listed_as_minus_one_is_none() {
        let passwd = "evil:x:4294967295:5::/:/bin/sh\nbad:x:5:4294967295::/:/bin/sh\n";
        assert_eq!(find_user(passwd, "evil"), None, "it would stay root");
        assert_eq!(find_user(passwd, "bad"), None);
        assert_eq!(find_group("evil:x:4294967295:a\n", "evil"), None);
        assert_eq!(groups_of("evil:x:4294967295:a\n", "a", 1), [1]);
    }

    #[test]
    fn root_exists_without_a_passwd_file() {
        assert_eq!(find_user("", "root").unwrap().uid, 0);
    }

    #[test]
    fn relative_homes_and_shells_are_not_believed() {
        let user = find_user(PASSWD, "rel").unwrap();
        assert_eq!((user.home.as_str(), user.shell.as_str()), ("/", "/bin/sh"));
    }

    #[test]
    fn supplementary_groups_are_those_that_list_the_user() {
        assert_eq!(groups_of(GROUP, "ada", 1001), [1001, 27, 4]);
        assert_eq!(find_group(GROUP, "sudo"), Some(27));
        assert_eq!(find_group(GROUP, "99"), Some(99));
        assert_eq!(find_group(GROUP, "wheel"), None);
    }
}
