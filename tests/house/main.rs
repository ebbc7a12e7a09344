//! The rules of the house, as far as a program can see them: length of files, a header in each module,
//! names of modules, where unsafe code may be, which crate may use which. Reads the sources; needs no
//! root. Run by `cargo test --workspace`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// How a test is marked that is the body of a process which another test starts.
const OTHER_PROCESS: &str = "ignore = \"run by another test";
const LONGEST_FILE: usize = 600;

/// What a crate of ours may depend on of ours, beside what those may.
const LAYERS: &[(&str, &[&str])] = &[
    ("lxhost-model", &[]),
    ("lxhost-contract", &[]),
    ("lxhost-netlink", &[]),
    ("lxhost-safefs", &[]),
    ("lxhost-unpack", &["lxhost-model", "lxhost-safefs"]),
    ("lxhost-dbus", &["lxhost-model"]),
    ("lxctl", &["lxhost-dbus", "lxhost-model"]),
    ("lxhost-runtime", &["lxhost-contract"]),
    ("lxhost-engine", &["lxhost-model", "lxhost-contract"]),
    ("lxhost-store", &["lxhost-engine", "lxhost-model"]),
    ("lxhost-host", &["lxhost-engine", "lxhost-model", "lxhost-contract", "lxhost-netlink", "lxhost-safefs"]),
    ("lxhost-drivers", &["lxhost-engine", "lxhost-model", "lxhost-host", "lxhost-netlink", "lxhost-safefs", "lxhost-contract"]),
];

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every file of the sources with this ending, relative to the top.
fn files(ending: &str) -> Vec<(PathBuf, String)> {
    let top = top();
    let mut found = Vec::new();
    let mut directories: Vec<PathBuf> =
        ["service", "dbus-interfaces", "units", "netlink", "cli", "runtime", "packaging", "tests", "fuzz"]
            .map(|name| top.join(name))
            .into();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push((path.strip_prefix(&top).unwrap().to_owned(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "no file ends with {ending}");
    found.sort();
    found
}

fn complain(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn no_file_is_longer_than_can_be_read() {
    let long = |text: &String| text.lines().count() > LONGEST_FILE;
    complain(
        &files(".rs")
            .iter()
            .filter(|(_, text)| long(text))
            .map(|(path, text)| format!("{}: {} lines", path.display(), text.lines().count()))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn every_module_says_what_it_is() {
    complain(
        &files(".rs")
            .iter()
            .filter(|(_, text)| !text.starts_with("//!"))
            .map(|(path, _)| format!("{}: no header", path.display()))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn no_module_is_called_after_nothing() {
    let nothing = ["utils", "util", "helpers", "helper", "common", "misc"];
    let named = |path: &Path| path.iter().any(|part| nothing.contains(&part.to_string_lossy().trim_end_matches(".rs")));
    complain(
        &files(".rs").iter().filter(|(path, _)| named(path)).map(|(path, _)| path.display().to_string()).collect::<Vec<_>>(),
    );
}

#[test]
fn unsafe_code_is_in_one_folder() {
    let unsafe_word = |line: &str| {
        let code = line.split("//").next().unwrap_or_default();
        ["unsafe {", "unsafe fn", "unsafe impl", "allow(unsafe_code)"].iter().any(|word| code.contains(word))
    };
    let mut complaints = Vec::new();
    for (path, text) in files(".rs") {
        // One call of the C library that takes no pointer: decision 0240.
        let trims = path.ends_with("service/lxhostd/src/memory.rs");
        if trims || path.starts_with("runtime/monitor/src/sys") || path.starts_with("tests/house") {
            continue;
        }
        complaints.extend(
            text.lines()
                .enumerate()
                .filter(|(_, line)| unsafe_word(line))
                .map(|(number, line)| format!("{}:{}: {line}", path.display(), number + 1)),
        );
    }
    complain(&complaints);
}

#[test]
fn nothing_is_left_to_do_or_switched_off() {
    let mut complaints = Vec::new();
    for (path, text) in files(".rs") {
        if path.starts_with("tests/house") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            if ["todo!(", "unimplemented!(", "#[ignore", "dbg!("].iter().any(|word| line.contains(word))
                && !line.contains(OTHER_PROCESS)
            {
                complaints.push(format!("{}:{}: {line}", path.display(), number + 1));
            }
        }
    }
    complain(&complaints);
}

#[test]
fn crates_depend_in_one_direction() {
    let layers: BTreeMap<&str, &[&str]> = LAYERS.iter().copied().collect();
    let mut complaints = Vec::new();
    for (path, text) in files("Cargo.toml") {
        let name = text.lines().find_map(|line| line.strip_prefix("name = \"")).unwrap_or_default().trim_end_matches('"');
        // The daemon wires everything together, and the tests see everything.
        let Some(allowed) = layers.get(name) else { continue };
        let section = text.split("[dependencies]").nth(1).unwrap_or_default().split("\n[").next().unwrap_or_default();
        let ours = section
            .lines()
            .filter_map(|line| line.split(['.', ' ', '=']).next())
            .filter(|name| name.starts_with("lxhost-") || *name == "lxctl");
        complaints.extend(
            ours.filter(|used| !allowed.contains(used)).map(|used| format!("{}: {name} may not use {used}", path.display())),
        );
    }
    complain(&complaints);
}

#[test]
fn every_action_is_in_the_policy_and_the_rules_name_no_other() {
    let policy = fs::read_to_string(top().join("units/polkit-1/org.lxhost1.policy")).unwrap();
    let known: Vec<&str> = policy
        .lines()
        .filter_map(|line| line.trim().strip_prefix("<action id=\""))
        .map(|rest| rest.trim_end_matches("\">"))
        .collect();
    let mut complaints = Vec::new();
    for (path, text) in files(".rs").into_iter().chain(files(".rules")) {
        for quoted in text.split('"').skip(1).step_by(2).filter(|text| text.starts_with("org.lxhost1.") && !text.ends_with('.')) {
            let action = quoted.strip_prefix("org.lxhost1.").unwrap_or_default();
            let is_action = action.starts_with(|first: char| first.is_ascii_lowercase())
                && !action.contains(['{', '/', '*'])
                && !action.ends_with(".conf");
            if is_action && !known.contains(&quoted) && !["service", "policy", "rules"].contains(&action) {
                complaints.push(format!("{}: {quoted} is no action of the policy", path.display()));
            }
        }
    }
    complain(&complaints);
}

#[test]
fn the_policy_has_every_action_and_no_other() {
    let policy = fs::read_to_string(top().join("units/polkit-1/org.lxhost1.policy")).unwrap();
    let ids = policy.lines().filter_map(|line| line.trim().strip_prefix("<action id=\"")?.split('"').next());
    let said: std::collections::BTreeSet<&str> = ids.collect();
    let meant: std::collections::BTreeSet<&str> = lxhost_model::Action::ALL.iter().map(|action| action.id()).collect();
    // The one that implies others is for people; nobody asks for it.
    let implied = said.difference(&meant).copied().collect::<Vec<_>>();
    assert!(implied.iter().all(|id| *id == "org.lxhost1.manage"), "the daemon never asks {implied:?}");
    assert_eq!(meant.difference(&said).collect::<Vec<_>>(), Vec::<&&str>::new(), "the policy lacks these");
}

#[test]
fn nothing_gives_up_by_panicking() {
    // In programs that people depend on; tests may.
    let mut complaints = Vec::new();
    for (path, text) in files(".rs") {
        let product = ["service", "cli", "netlink", "runtime", "dbus-interfaces"].iter().any(|top| path.starts_with(top));
        let is_test = |part: &std::ffi::OsStr| {
            let part = part.to_string_lossy();
            part == "tests" || part == "examples" || part.trim_end_matches(".rs").ends_with("tests") || part.contains("fixture")
        };
        if !product || path.iter().any(is_test) {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if [".unwrap()", ".expect(\"", ".expect(&", "panic!(", "unreachable!("].iter().any(|word| code.contains(word)) {
                complaints.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    complain(&complaints);
}

#[test]
fn every_refusal_on_a_host_is_watched_for_changes() {
    let text = fs::read_to_string(top().join("tests/host/refusal.rs")).unwrap();
    let listed = text.split("    [\n").nth(1).and_then(|rest| rest.split(']').next()).unwrap_or_default();
    let names: Vec<&str> = listed.lines().filter_map(|line| line.trim().strip_suffix(',')).collect();
    assert!(names.len() > 5, "{names:?}");
    let body =
        |name: &str| text.split(&format!("\nfn {name}(")).nth(1).unwrap_or_default().split("\n}").next().unwrap_or_default();
    // A daemon that does not start answers no questions: there it is the database alone that is compared.
    let watched = |name: &&&str| ["nothing_changes(", "sha256sum"].iter().any(|word| body(name).contains(word));
    let unwatched: Vec<&&str> = names.iter().filter(|name| !watched(name)).collect();
    assert!(unwatched.is_empty(), "{unwatched:?}");
}
