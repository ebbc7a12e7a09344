//! Ids of files in backups of containers whose roots were shifted on their disks: back to those that the guest knows.
//! Pure; called by `restore`.

use crate::archive::Entry;
use lxhost_model::backup::Shift;

/// What an ACL says about a user of a number, and a group of one (acl(5)).
const ACL_USER: u16 = 2;
const ACL_GROUP: u16 = 8;

/// Shifts of one tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shifts(Vec<Shift>);

impl Shifts {
    /// By the word on the command line: a JSON list.
    pub(crate) fn parse(word: &str) -> Option<Shifts> {
        serde_json::from_str(word).ok().map(Shifts)
    }

    /// Gives an entry the owner that the guest knows. Ids that were not shifted stay.
    pub(crate) fn apply(&self, entry: &mut Entry) {
        if self.0.is_empty() {
            return;
        }
        entry.uid = self.inside(entry.uid, |shift| shift.uid);
        entry.gid = self.inside(entry.gid, |shift| shift.gid);
        for (name, value) in &mut entry.xattrs {
            if name.starts_with(b"system.posix_acl_") && value.len() % 8 == 4 {
                for rule in value[4..].as_chunks_mut::<8>().0 {
                    self.apply_to_rule(rule);
                }
            }
        }
    }

    /// A rule of an ACL: tag, permissions, id.
    fn apply_to_rule(&self, rule: &mut [u8; 8]) {
        let [a, b, _, _, id @ ..] = *rule;
        let id = match u16::from_le_bytes([a, b]) {
            ACL_USER => self.inside(u32::from_le_bytes(id), |shift| shift.uid),
            ACL_GROUP => self.inside(u32::from_le_bytes(id), |shift| shift.gid),
            _ => return,
        };
        rule[4..].copy_from_slice(&id.to_le_bytes());
    }

    fn inside(&self, id: u32, of: impl Fn(&Shift) -> bool) -> u32 {
        let within = |shift: &&Shift| of(shift) && id >= shift.host && id - shift.host < shift.count;
        let shift = self.0.iter().find(within);
        shift.and_then(|shift| shift.inside.checked_add(id - shift.host)).unwrap_or(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::Kind;

    fn entry(uid: u32, gid: u32, acl: &[u8]) -> Entry {
        Entry {
            name: b"x".to_vec(),
            link: vec![],
            kind: Kind::File,
            mode: 0o644,
            uid,
            gid,
            mtime: (0, 0),
            size: 0,
            sparse: None,
            xattrs: vec![(b"system.posix_acl_access".to_vec(), acl.to_vec())],
            acls: vec![],
        }
    }

    #[test]
    fn owners_and_rules_are_those_that_the_guest_knows() {
        let shift = |uid, gid| Shift { uid, gid, host: 1_000_000, inside: 0, count: 65_536 };
        let shifts = Shifts(vec![shift(true, false), shift(false, true)]);
        let rule = |tag: u16, id: u32| [&tag.to_le_bytes()[..], &7u16.to_le_bytes(), &id.to_le_bytes()].concat();
        let acl =
            |user: u32, group: u32| [vec![2, 0, 0, 0], rule(1, u32::MAX), rule(ACL_USER, user), rule(ACL_GROUP, group)].concat();
        let mut shifted = entry(1_000_007, 1_065_535, &acl(1_000_033, 1_000_044));
        shifts.apply(&mut shifted);
        assert_eq!((shifted.uid, shifted.gid), (7, 65_535));
        assert_eq!(shifted.xattrs[0].1, acl(33, 44));
        let mut plain = entry(0, 1_065_536, b"odd");
        shifts.apply(&mut plain);
        assert_eq!((plain.uid, plain.gid, plain.xattrs[0].1.as_slice()), (0, 1_065_536, &b"odd"[..]));
    }

    #[test]
    fn shifts_at_the_ends_of_what_there_is_do_not_wrap() {
        let shifts = Shifts(vec![Shift { uid: true, gid: true, host: 0, inside: u32::MAX, count: u32::MAX }]);
        let mut last = entry(u32::MAX - 1, 0, &[]);
        shifts.apply(&mut last);
        assert_eq!((last.uid, last.gid), (u32::MAX - 1, u32::MAX));
        assert!(Shifts::parse("").is_none() && Shifts::parse("{}").is_none());
        assert_eq!(Shifts::parse("[]"), Some(Shifts::default()));
    }
}
