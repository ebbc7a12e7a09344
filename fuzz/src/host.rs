//! What a guest writes and the monitor or the daemon's host side reads: its words to the notify socket, its users,
//! its /etc/hosts, its processes' names, and what a sandboxed program says.

use lxhost_runtime::hostile;

/// An init says ready, or how it goes down in one plain word.
pub fn notify(data: &[u8]) {
    for how in hostile::notify(data).into_iter().flatten() {
        assert!(how.len() <= 32 && how.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{how:?}");
    }
}

/// Addresses that the kernel lists: the prefix is a byte, the address lies in the datagram.
pub fn addresses(data: &[u8]) {
    let list = hostile::addresses(data);
    assert!(list.iter().map(|(address, _)| address.len()).sum::<usize>() <= data.len());
    assert!(list.iter().all(|(_, prefix)| *prefix <= 255));
}

/// Users and groups: who is found has real ids, a bounded number of groups, and absolute paths.
pub fn passwd(data: &[u8]) {
    let mut parts = crate::parts(data);
    let (wanted, passwd, groups) =
        (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    for wanted in [wanted.as_str(), "root", "0"] {
        if let Some((uid, groups, home, shell)) = hostile::user(&passwd, &groups, wanted) {
            assert!(uid != u32::MAX, "-1 means no change to setresuid(2)");
            assert!(!groups.contains(&u32::MAX), "-1 means no change to setresgid(2)");
            assert!(!groups.is_empty() && groups.len() <= 1024);
            assert!(home.starts_with('/') && shell.starts_with('/'), "{home:?} {shell:?}");
        }
        assert_ne!(hostile::group(&groups, wanted), Some(u32::MAX));
    }
}

/// /etc/hosts of an image: the host name is in what comes out, once it has been put in it stays.
pub fn hosts(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(written) = lxhost_drivers::hostile::hosts(&text, "c1") {
        assert!(written.len() <= text.len() * 2 + 64, "{} bytes became {}", text.len(), written.len());
        assert_eq!(lxhost_drivers::hostile::hosts(&written, "c1"), None, "{written:?}");
    }
}

/// What the kernel says of a process whose name the guest chose.
pub fn status(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    lxhost_host::hostile::status(&text);
    assert!(lxhost_host::hostile::id_map(&text).len() <= text.len());
}

/// Lines of a sandboxed program are short and clean, its last words too.
pub fn said(data: &[u8]) {
    for all in [false, true] {
        let (lines, last) = lxhost_host::hostile::said(all, data);
        assert!(lines.iter().all(|line| line.len() <= 1024 && !line.chars().any(char::is_control)));
        assert!(last.len() <= 3 * 4096 && !last.chars().any(|c| c.is_control() && c != '\n'), "{last:?}");
        for line in lines {
            assert!(lxhost_drivers::hostile::progress(&line).is_none_or(|part| (-1.0..=1.0).contains(&part)), "{line:?}");
        }
    }
}
