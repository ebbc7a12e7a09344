//! Command lines that have to parse, or to be answered with the right one.

use super::*;
use clap::CommandFactory;

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// The whole tree, with what is put off until a verb is called.
fn built() -> clap::Command {
    let mut command = Cli::command();
    command.build();
    command
}

fn refusal(line: &str) -> crate::failure::Failure {
    let words = words(line);
    let error = Cli::try_parse_from(std::iter::once("lxctl".to_owned()).chain(words.clone())).unwrap_err();
    explain(&error, &words)
}

#[test]
fn the_command_tree_is_sound() {
    Cli::command().debug_assert();
}

/// What is put off until a verb is called may not say something else then: a documentation comment of its arguments would.
#[test]
fn help_begins_with_what_the_verb_does() {
    for verb in Cli::command().get_subcommands().filter(|verb| verb.get_name() != "help") {
        let about = verb.get_about().unwrap().to_string();
        let help = Cli::try_parse_from(["lxctl", verb.get_name(), "--help"]).unwrap_err().to_string();
        assert!(help.starts_with(&about), "{}: {help}", verb.get_name());
    }
}

/// Every `lxc …` line of the tutorials people follow that belongs to a verb of this version.
const LXC_LINES: &[&str] = &[
    "launch ubuntu2204 CGN-Server",
    "publish mon-conteneur --alias mon-template-web",
    "publish mon-conteneur --alias web-template --metadata web-template.yaml description=nginx",
    "profile assign CGN-Server bridgedprofile",
    "image copy images:ubuntu/focal local: --alias ubuntu",
    "image list",
    "list",
    "launch ubuntu:16:04",
    "launch ubuntu:16.04",
    "launch ubuntu:16.04 my-ubuntu",
    "launch images:alpine/3.5 my-alpine",
    "exec my-ubuntu -- /bin/bash",
    "exec mon-ubuntu -- bash",
    "init",
    "info mon-ubuntu",
    "stop mon-ubuntu",
    "delete mon-ubuntu",
    "config set mon-conteneur limits.cpu 2",
    "config set mon-conteneur limits.cpu.allowance 50%",
    "config set mon-conteneur limits.memory.swap false",
    "config device set mon-conteneur root limits.read 20MB",
    "profile list",
    "profile show default",
    "profile create web-server",
    "profile edit web-server",
    "launch ubuntu:22.04 web01 --profile web-server",
    "profile assign mon-conteneur default,web-server",
    "profile copy default production",
    "storage create zfs-pool zfs",
    "storage create ssd-pool dir source=/mnt/ssd/lxd",
    "storage create loop-pool btrfs size=30GiB",
    "storage set loop-pool size 40GiB",
    "storage list",
    "storage show default",
    "storage volume create default shared-data",
    "storage volume list default",
    "config device add mon-conteneur shared disk pool=default source=shared-data path=/shared",
    "image list images:",
    "image copy images:debian/12 local: --alias debian-12",
    "image info debian-12",
    "image delete debian-12",
    "image export mon-template-web /tmp/",
    "info mon-conteneur/backup-avant-update",
    "delete mon-conteneur/backup-avant-update",
    "snapshot mon-conteneur backup-avant-update",
    "snapshot web-server pre-nginx-update --comment Avant",
    "snapshot mon-conteneur backup-avec-etat --stateful",
    "restore mon-conteneur backup-avant-update",
    "config set mon-conteneur snapshots.pattern auto-%d",
    "config set mon-conteneur snapshots.schedule @daily",
    "config set mon-conteneur snapshots.expiry 7d",
    "copy source-container destination-container",
    "copy source-container destination-container --copy-snapshots",
    "copy mon-conteneur serveur2:mon-conteneur-copie",
    "move ancien-nom nouveau-nom",
    "config set core.https_address 0.0.0.0:8443",
    "list serveur2:",
    "list -c n --format csv",
    "network show lxdbr0",
    "network create production-network",
    "network acl create restricted-access",
    "network acl rule add restricted-access ingress,allow,tcp 0.0.0.0/0 10.0.0.0/8 80,443",
    "network create br-physical --type=bridge parent=eth0",
    "network create overlay-network --type=overlay --config tunnel.protocol=vxlan --config tunnel.id=1000",
    "config device add mon-conteneur eth0 nic network=br-physical",
    "config device add mon-conteneur eth0 nic network=lxdbr0 ipv4.address=10.166.11.100",
    "config device add web-server port80 proxy listen=tcp:0.0.0.0:80 connect=tcp:127.0.0.1:80",
    "exec mon-conteneur -- systemctl edit --full systemd-networkd",
    "exec mon-conteneur -- ip addr show",
    "exec dns-server -- apt install -y bind9 bind9utils",
    "info --resources",
    "exec mon-conteneur -- dig @8.8.8.8 example.com",
    "exec mon-conteneur -- tcpdump -i eth0",
];

#[test]
fn command_lines_of_lxd_tutorials_parse() {
    for line in LXC_LINES {
        let words = words(line);
        let parsed = Cli::try_parse_from(std::iter::once("lxctl".to_owned()).chain(words));
        assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
    }
}

#[test]
fn other_spellings_and_aliases_parse() {
    for line in [
        "ls -c ns4 --format=json status=running",
        "rm -f c1 c2",
        "freeze c1",
        "thaw c1",
        "unpause --all",
        "start --all",
        "restart c1 --force --timeout 10",
        "launch debian:13 c1 -c limits.memory=1GiB -c user.a=b -d root,size=1GiB -e -s fast -n lab --console",
        "create --empty c2",
        "init debian:13 c1",
        "init --auto --storage-backend btrfs",
        "shell c1 --user anna",
        "console c1 --show-log",
        "wait c1 --for address --timeout 30",
        "image ls debian:",
        "image alias create mine 3f2a",
        "config device override c1 root size=1GiB",
        "network list-leases lxbr0 --format csv",
        "network set br0 bridge.external_interfaces=eth1 --rollback=60s",
        "network delete lab --rollback 2m",
        "network rollback br0",
        "network forward create lxbr0 192.0.2.1 target_address=10.9.0.5 --description Web",
        "network forward port add lxbr0 192.0.2.1 tcp 80,90-99 10.9.0.5 8080",
        "network forward port rm lxbr0 192.0.2.1 --force --rollback=60s",
        "network forward port rm lxbr0 192.0.2.1 --force",
        "copy c1",
        "cp c1/s1 c2 --instance-only -c user.a=b -d root,size=1GiB --no-profiles -e --stateless",
        "copy c1 c2 -p default -p web -s fast --mode pull --allow-inconsistent --refresh",
        "storage volume export default data",
        "storage volume export default data - --compression none --volume-only",
        "storage volume import default data.tar.zst data2 --type backup",
        "storage volume copy default/data default/data2",
        "storage volume copy default/data/snap0 fast/old --mode pull",
        "storage volume cp default data fast data --volume-only",
        "storage volume move default/data fast/data",
        "storage volume mv default data data2",
        "storage volume snapshot default data",
        "storage volume snapshot default data before --reuse --comment why",
        "storage volume snapshot create default data --no-expiry",
        "storage volume snapshot ls default data --format csv",
        "storage volume snapshot show default data/before",
        "storage volume snapshot rename default data before after",
        "storage volume snapshot restore default data after",
        "storage volume snapshot rm default data after snap0",
        "snapshot create c1",
        "snapshot create c1 s1 --reuse --description why",
        "snapshot c1",
        "snapshot ls c1 --format csv",
        "snapshot rm c1 s1 s2 -i",
        "snapshot rename c1 s1 s2",
        "operation cancel 12",
        "monitor --type lifecycle --format json",
        "--project default -q list",
        "list -q",
        "generate completion bash",
        "generate man /tmp/x",
    ] {
        let parsed = Cli::try_parse_from(std::iter::once("lxctl".to_owned()).chain(words(line)));
        assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
    }
}

#[test]
fn a_wrong_verb_is_answered_with_the_right_line() {
    for (wrong, right) in [
        ("lauch debian:13 c1", "lxctl launch debian:13 c1"),
        ("lsit", "lxctl list"),
        ("images list", "lxctl image list"),
        ("destroy c1", "lxctl delete c1"),
        ("attach c1 -- ls", "lxctl exec c1 -- ls"),
        ("ps", "lxctl list"),
        ("profile lst", "lxctl profile list"),
        ("config device ad c1 eth1 nic", "lxctl config device add c1 eth1 nic"),
        ("exce c1 -- echo 'a", "lxctl exec c1 -- echo"),
    ] {
        let failure = refusal(wrong);
        let hint = failure.hint.unwrap_or_default();
        assert!(hint.contains(right), "{wrong}: {hint}");
        assert_eq!(failure.code, 2);
    }
}

#[test]
fn a_verb_of_a_later_version_is_not_called_a_typo() {
    for line in ["network load-balancer info lxbr0 192.0.2.1", "config trust add c.crt", "storage bucket list default"] {
        let failure = refusal(line);
        assert_eq!(failure.code, 8, "{line}: {}", failure.message);
        assert!(failure.message.contains("this version"), "{line}: {}", failure.message);
    }
}

#[test]
fn a_bad_argument_is_one_line_and_a_hint() {
    for (line, expected) in [
        ("list --bogus", "--bogus"),
        ("start", "<NAME>"),
        ("launch debian:13 c1 -c novalue", "novalue"),
        ("list --format xml", "xml"),
        ("frobnicate", "frobnicate"),
        ("stop c1 --timeout soon", "soon"),
        ("network set br0 mtu=9000 --rollback=soon", "soon"),
        ("network delete br0 --rollback=25h", "24h"),
        ("network set br0 mtu=9000 --rollback=0", "a second"),
        ("network set br0 mtu=9000 --rollback=-5s", "-5s"),
    ] {
        let failure = refusal(line);
        assert!(failure.message.contains(expected), "{line}: {}", failure.message);
        assert!(!failure.message.contains('\n') && !failure.message.starts_with("error"), "{}", failure.message);
        assert!(failure.hint.is_some(), "{line}");
        assert_eq!(failure.code, 2, "{line}");
    }
}

#[test]
fn every_verb_has_a_short_text_and_examples() {
    fn check(command: &clap::Command, path: &str) {
        assert!(command.get_about().is_some(), "{path} has no text");
        let mut verbs = command.get_subcommands().filter(|c| c.get_name() != "help").peekable();
        if verbs.peek().is_none() {
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains("Examples:"), "{path} has no examples");
        }
        for verb in verbs.filter(|c| !c.is_hide_set()) {
            check(verb, &format!("{path} {}", verb.get_name()));
        }
    }
    check(&built(), "lxctl");
}

#[test]
fn the_examples_parse() {
    fn check(command: &clap::Command, seen: &mut usize) {
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for line in after.lines().map(str::trim).filter(|line| line.starts_with("lxctl ")) {
            // What a shell does, and the remark behind two or more spaces.
            let line = line.split("   ").next().unwrap_or_default().split(['<', '|']).next().unwrap_or_default();
            let line = line.replace("'My image'", "My-image").replace("''", "x");
            let parsed = Cli::try_parse_from(line.split_whitespace());
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
            *seen += 1;
        }
        command.get_subcommands().for_each(|verb| check(verb, seen));
    }
    let mut seen = 0;
    check(&built(), &mut seen);
    assert!(seen > 80, "only {seen} examples were found");
}

#[test]
fn the_help_is_the_golden_one() {
    // Narrow enough for any terminal; the width of the one that tests run on does not matter.
    let help = Cli::command().term_width(100).render_help().to_string();
    assert_eq!(help, include_str!("../../tests/golden/help.txt"), "the new one:\n{help}");
}
