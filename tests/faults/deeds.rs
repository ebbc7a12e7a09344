//! What can be done to a host, as lines of shell (more is in `rare`): what has to be there first, the deed, how one
//! sees that it has been done, and how it is done again when a fault kept it from its end. Pure data.
//! Called by the matrix.

/// Something that can be done. `POOL` stands for the pool.
#[derive(Debug)]
pub(crate) struct Deed {
    pub(crate) name: &'static str,
    /// What makes that it can be done.
    pub(crate) before: &'static str,
    pub(crate) act: &'static str,
    /// Succeeds when it has been done.
    pub(crate) done: &'static str,
    /// Does what is left to do of it, when it is not simply done once more.
    pub(crate) again: Option<&'static str>,
    /// Whether the driver of the pool matters.
    pub(crate) stores: bool,
    /// Whether the pool has to keep sizes.
    pub(crate) sized: bool,
}

/// `is NAME STATUS`, for `done`; and `lives NAME`: it runs, and does what it is told.
pub(crate) const WORDS: &str = "
is() { test \"$(lxctl list \"$1\" -c s --format csv,noheader | tr A-Z a-z)\" = \"$2\"; }
lives() { is \"$1\" running && test \"$(lxctl exec \"$1\" -- echo yes)\" = yes; }
gone() { ! lxctl list -q | grep -qx \"$1\"; }
";

/// What removes things that deeds make, and the word by which deeds name them.
pub(crate) const TIDY: &[(&str, &str)] = &[
    // What is deleted from here on is gone.
    ("trash", "for name in $(lxctl storage list -q); do lxctl storage unset $name trash.expiry; done; lxctl trash empty"),
    ("f1", "for name in $(lxctl list -q); do lxctl delete --force $name; done"),
    ("fresh", "! lxctl image info fresh >/dev/null 2>&1 || lxctl image delete fresh"),
    ("fprofile", "for name in $(lxctl profile list -q | grep '^fprofile'); do lxctl profile delete $name; done"),
    (
        "fnet",
        "for name in $(lxctl network list -q | grep '^fnet'); do lxctl network rollback $name 2>/dev/null || true; lxctl network delete $name; done",
    ),
    ("facl", "for name in $(lxctl network acl list -q); do lxctl network acl delete $name; done"),
    (
        "fvol",
        "for one in $(lxctl storage volume list --format csv | grep '^fvol' | cut -d, -f1,2); do lxctl storage volume delete ${one#*,} ${one%,*}; done",
    ),
    ("fpool", "for name in $(lxctl storage list -q | grep '^fpool'); do lxctl storage delete $name; done"),
];

const CREATE: &str = "lxctl create busybox f1 -s POOL";
pub(crate) const LAUNCH: &str = "lxctl launch busybox f1 -s POOL";
const SNAPSHOT: &str = "lxctl create busybox f1 -s POOL && lxctl snapshot f1 s1 && lxctl config set f1 user.a=b";
/// Something is in its root, and it is stopped.
const WRITTEN: &str = "lxctl launch busybox f1 -s POOL && lxctl exec f1 -- touch /root/kept && lxctl stop --force f1";
const WRITTEN_AND_SNAPSHOT: &str = "lxctl launch busybox f1 -s POOL && lxctl exec f1 -- touch /root/kept && lxctl snapshot f1 s1";
const AWAY: &str = "lxctl storage create fpool dir && lxctl launch busybox f1 -s POOL && lxctl exec f1 -- touch /root/kept \
    && lxctl snapshot f1 s1";
/// The copy has it, and the original still has it.
const COPIED: &str = "is f2 stopped && lxctl start f2 && lives f2 && lxctl exec f2 -- test -e /root/kept \
    && { lives f1 || lxctl start f1; } && lxctl exec f1 -- test -e /root/kept";
/// A copy of what runs on, and has another snapshot since.
const REFRESH: &str = "lxctl launch busybox f1 -s POOL && lxctl snapshot f1 s1 && lxctl copy f1 f2 && lxctl exec f1 -- touch /root/kept \
    && lxctl snapshot f1 s2 && lxctl snapshot delete f1 s1";
pub(crate) const REFRESHED: &str = "is f2 stopped && test \"$(lxctl snapshot list f2 -q)\" = s2 && lxctl start f2 && lives f2 \
    && lxctl exec f2 -- test -e /root/kept && lives f1 && lxctl restore f2 s2 && lxctl exec f2 -- test -e /root/kept";
const BACKUP: &str = "lxctl create busybox f1 -s POOL && lxctl snapshot f1 s1 && lxctl export f1 /tmp/f1.tar";
/// An instance that runs with a snapshot, on a pool with a trash.
const IN_TRASH_POOL: &str = "lxctl launch busybox f1 -s POOL && lxctl snapshot f1 s1 && lxctl storage set POOL trash.expiry=7d";
const TRASHED: &str = "lxctl launch busybox f1 -s POOL && lxctl snapshot f1 s1 && lxctl storage set POOL trash.expiry=7d \
    && lxctl delete --force f1";
/// A volume that something is in, with an instance that runs with it.
const VOLUME: &str = "lxctl storage volume create POOL fvol && lxctl create busybox f1 -s POOL \
    && lxctl storage volume attach POOL fvol f1 /srv && lxctl start f1 && lxctl exec f1 -- touch /srv/kept";
/// The same, in a snapshot as well.
const VOLUME_USED_AND_SNAPSHOT: &str = "lxctl storage volume create POOL fvol && lxctl create busybox f1 -s POOL \
    && lxctl storage volume attach POOL fvol f1 /srv && lxctl start f1 && lxctl exec f1 -- touch /srv/kept \
    && lxctl storage volume snapshot POOL fvol s1";
const VOLUME_AWAY: &str = "lxctl storage create fpool dir && lxctl storage volume create POOL fvol \
    && lxctl create busybox f1 -s POOL && lxctl storage volume attach POOL fvol f1 /srv && lxctl start f1 \
    && lxctl exec f1 -- touch /srv/kept && lxctl storage volume snapshot POOL fvol s1";
/// The copy has it, and the original still has it.
const VOLUME_COPIED: &str = "lxctl storage volume attach POOL fvol2 f1 /mnt && lxctl exec f1 -- test -e /mnt/kept \
    && lxctl exec f1 -- test -e /srv/kept && lives f1 && lxctl storage volume snapshot list POOL fvol2 -q | grep -qx s1";
/// A copy of a volume that something runs with, and that has changed since.
const VOLUME_REFRESH: &str = "lxctl storage volume create POOL fvol && lxctl create busybox f1 -s POOL \
    && lxctl storage volume attach POOL fvol f1 /srv && lxctl start f1 && lxctl storage volume copy POOL/fvol POOL/fvol2 \
    && lxctl exec f1 -- touch /srv/kept && lxctl storage volume snapshot POOL fvol s1";
const VOLUME_REFRESHED: &str = "lxctl storage volume file pull POOL fvol2/kept - && lives f1 && lxctl exec f1 -- test -e /srv/kept \
    && test \"$(lxctl storage volume snapshot list POOL fvol2 -q)\" = s1";
/// It is in a snapshot of the volume alone.
pub(crate) const VOLUME_SNAPSHOT: &str = "lxctl storage volume create POOL fvol && lxctl create busybox f1 -s POOL \
    && lxctl storage volume attach POOL fvol f1 /srv && lxctl start f1 && lxctl exec f1 -- touch /srv/kept \
    && lxctl storage volume snapshot POOL fvol s1 && lxctl exec f1 -- rm /srv/kept && lxctl stop --force f1";
pub(crate) const IMPORT: &str = "lxctl image import /lab/fresh.tar --alias fresh";

pub(crate) const fn deed(name: &'static str, before: &'static str, act: &'static str, done: &'static str) -> Deed {
    Deed { name, before, act, done, again: None, stores: false, sized: false }
}

impl Deed {
    pub(crate) const fn again(mut self, again: &'static str) -> Self {
        self.again = Some(again);
        self
    }

    /// Removes what it makes.
    pub(crate) fn tidy(&self) -> String {
        let names = |word: &str| [self.before, self.act, self.done].iter().any(|text| text.contains(word));
        TIDY.iter().filter(|(word, _)| names(word)).flat_map(|(_, line)| [*line, "\n"]).collect()
    }

    pub(crate) const fn sized(mut self) -> Self {
        self.sized = true;
        self
    }

    const fn stores(mut self) -> Self {
        self.stores = true;
        self
    }
}

/// All of them.
pub(crate) const DEEDS: &[Deed] = &[
    deed("create", "", CREATE, "is f1 stopped").stores(),
    deed("launch", "", LAUNCH, "lives f1")
        .again("if is f1 stopped; then lxctl start f1; else lxctl launch busybox f1 -s POOL; fi")
        .stores(),
    deed("create of a new image", IMPORT, "lxctl create fresh f1 -s POOL", "is f1 stopped").stores(),
    deed("start", CREATE, "lxctl start f1", "lives f1").stores(),
    deed("stop", LAUNCH, "lxctl stop f1 --timeout 10", "is f1 stopped"),
    deed("stop by force", LAUNCH, "lxctl stop f1 --force", "is f1 stopped"),
    deed("restart", LAUNCH, "lxctl restart f1 --force", "lives f1")
        .again("if is f1 stopped; then lxctl start f1; else lxctl restart f1 --force; fi"),
    deed("pause", LAUNCH, "lxctl pause f1", "is f1 frozen"),
    deed("resume", "lxctl launch busybox f1 -s POOL && lxctl pause f1", "lxctl resume f1", "lives f1"),
    deed("exec", LAUNCH, "test \"$(lxctl exec f1 -- echo yes)\" = yes", "lives f1"),
    deed("delete", CREATE, "lxctl delete f1", "gone f1").stores(),
    deed("delete by force", LAUNCH, "lxctl delete f1 --force", "gone f1").stores(),
    deed(
        "start with a snapshot",
        "lxctl create busybox f1 -s POOL -c snapshots.schedule=@startup",
        "lxctl start f1",
        "lives f1 && lxctl snapshot list f1 -q | grep -qx snap0",
    )
    .stores(),
    deed("copy", WRITTEN, "lxctl copy f1 f2", COPIED).stores(),
    deed("copy of what runs, with a snapshot", WRITTEN_AND_SNAPSHOT, "lxctl copy f1 f2", COPIED).stores(),
    deed("copy of a snapshot", WRITTEN_AND_SNAPSHOT, "lxctl copy f1/s1 f2", COPIED).stores(),
    deed("refresh of a copy", REFRESH, "lxctl copy f1 f2 --refresh", REFRESHED).stores(),
    deed("copy to another pool", AWAY, "lxctl copy f1 f2 -s fpool", COPIED).stores(),
    deed(
        "move to another pool",
        "lxctl storage create fpool dir && lxctl create busybox f1 -s POOL && lxctl snapshot f1 s1",
        "lxctl move f1 -s fpool",
        "lxctl list pool=fpool -q | grep -qx f1 && lxctl start f1 && lives f1 && lxctl restore f1 s1 && lives f1",
    )
    .stores(),
    deed("snapshot", CREATE, "lxctl snapshot f1 s1", "lxctl snapshot list f1 -q | grep -qx s1 && lxctl start f1 && lives f1")
        .stores(),
    deed("snapshot of what runs", LAUNCH, "lxctl snapshot f1 s1", "lxctl snapshot list f1 -q | grep -qx s1 && lives f1").stores(),
    deed(
        "snapshot restore",
        SNAPSHOT,
        "lxctl restore f1 s1",
        "test \"$(lxctl config get f1 user.a)\" = '' && lxctl start f1 && lives f1",
    )
    .stores(),
    deed(
        "snapshot delete",
        SNAPSHOT,
        "lxctl delete f1/s1",
        "! lxctl snapshot list f1 -q | grep -qx s1 && lxctl start f1 && lives f1",
    )
    .stores(),
    deed("delete with a snapshot", SNAPSHOT, "lxctl delete f1", "gone f1").stores(),
    deed("delete into the trash", IN_TRASH_POOL, "lxctl delete --force f1", "gone f1 && lxctl trash list -q | grep -qx f1")
        .stores(),
    deed("undo", TRASHED, "lxctl undo", "is f1 stopped && lxctl start f1 && lives f1 && lxctl restore f1 s1 && lives f1")
        .again("is f1 stopped || lxctl undo")
        .stores(),
    deed("trash delete", TRASHED, "lxctl trash delete f1", "gone f1 && ! lxctl trash list -q | grep -q .")
        .again("! lxctl trash list -q | grep -q . || lxctl trash delete f1")
        .stores(),
    deed(
        "export",
        "rm -f /tmp/f1.tar && lxctl create busybox f1 -s POOL && lxctl snapshot f1 s1",
        "lxctl export f1 /tmp/f1.tar",
        "lxctl backup verify /tmp/f1.tar --format csv | grep -q s1 && lxctl start f1 && lives f1",
    )
    .stores(),
    deed(
        "export of what runs",
        "rm -f /tmp/f1.tar && lxctl launch busybox f1 -s POOL",
        "lxctl export f1 /tmp/f1.tar",
        "lxctl backup verify /tmp/f1.tar && lives f1",
    )
    .stores(),
    deed(
        "import",
        BACKUP,
        "lxctl import /tmp/f1.tar f2 -s POOL",
        "is f2 stopped && lxctl start f2 && lxctl restore f2 s1 && lives f2",
    )
    .stores(),
    deed(
        "publish",
        LAUNCH,
        "lxctl publish f1 --alias fresh",
        "lives f1 && lxctl create fresh f2 -s POOL && lxctl start f2 && lives f2",
    )
    .stores(),
    deed("rename", CREATE, "lxctl rename f1 f2", "gone f1 && is f2 stopped"),
    deed("config", CREATE, "lxctl config set f1 user.a=b", "test \"$(lxctl config get f1 user.a)\" = b"),
    deed("image import", "", IMPORT, "lxctl image info fresh >/dev/null"),
    deed("image delete", IMPORT, "lxctl image delete fresh", "! lxctl image info fresh >/dev/null 2>&1"),
    deed(
        "network create",
        "",
        "lxctl network create fnet",
        "lxctl network list -q | grep -qx fnet && ip link show dev fnet >/dev/null",
    ),
    deed(
        "network rename",
        "lxctl network create fnet",
        "lxctl network rename fnet fnet2",
        "lxctl network list -q | grep -qx fnet2 && ip link show dev fnet2 >/dev/null && ! ip link show dev fnet 2>/dev/null",
    ),
    deed(
        "network acl change",
        "lxctl network acl create facl && lxctl network create fnet security.acls=facl",
        "lxctl network acl rule add facl egress action=drop destination=192.0.2.7",
        "lxctl network acl show facl | grep -q 192.0.2.7 && nft list table inet lxhost | grep -q 192.0.2.7",
    ),
    deed(
        "network forward change",
        "lxctl network create fnet ipv4.address=10.98.7.1/24 && lxctl network forward create fnet 192.0.2.77",
        "lxctl network forward port add fnet 192.0.2.77 tcp 80 10.98.7.5",
        "lxctl network forward show fnet 192.0.2.77 | grep -q 10.98.7.5 && nft list table inet lxhost | grep -q 10.98.7.5",
    ),
    deed(
        "network load balancer change",
        "lxctl network create fnet ipv4.address=10.98.7.1/24 && lxctl network load-balancer create fnet 192.0.2.78",
        "lxctl network load-balancer backend add fnet 192.0.2.78 w1 10.98.7.6",
        "lxctl network load-balancer show fnet 192.0.2.78 | grep -q 10.98.7.6",
    ),
    deed(
        "network change on trial",
        "lxctl network create fnet ipv4.address=10.98.7.1/24",
        "lxctl network set fnet ipv4.address=10.98.8.1/24 --rollback=1h",
        "lxctl network info fnet | grep -q 'unless confirmed' && ip -o address show dev fnet | grep -q 10.98.8.1",
    ),
    deed(
        "network change confirmed",
        "lxctl network create fnet ipv4.address=10.98.7.1/24 && lxctl network set fnet ipv4.address=10.98.8.1/24 --rollback=1h",
        "lxctl network confirm fnet",
        "! lxctl network info fnet | grep -q 'unless confirmed' && ip -o address show dev fnet | grep -q 10.98.8.1",
    ),
    deed(
        "network change undone",
        "lxctl network create fnet ipv4.address=10.98.7.1/24 && lxctl network set fnet ipv4.address=10.98.8.1/24 --rollback=1h",
        "lxctl network rollback fnet",
        "! lxctl network info fnet | grep -q 'unless confirmed' && ip -o address show dev fnet | grep -q 10.98.7.1",
    ),
    deed(
        "network deletion on trial",
        "lxctl network create fnet",
        "lxctl network delete fnet --rollback=1h",
        "lxctl network info fnet | grep -q 'unless confirmed' && ! ip link show dev fnet 2>/dev/null",
    ),
    deed("network delete", "lxctl network create fnet", "lxctl network delete fnet", "! lxctl network list -q | grep -qx fnet"),
    deed(
        "storage create",
        "",
        "lxctl storage create fpool dir",
        "lxctl storage list -q | grep -qx fpool && lxctl create busybox f1 -s fpool && lxctl delete f1",
    ),
    deed(
        "storage delete",
        "lxctl storage create fpool dir",
        "lxctl storage delete fpool",
        "! lxctl storage list -q | grep -qx fpool",
    ),
    deed(
        "volume create",
        "lxctl storage create fpool dir",
        "lxctl storage volume create fpool fvol",
        "lxctl storage volume info fpool fvol >/dev/null",
    ),
    deed(
        "block volume create",
        "lxctl storage create fpool dir",
        "lxctl storage volume create fpool fvol --type=block",
        "test \"$(find /var/lib/lxhost/pools/fpool/volumes/instances -name volume.img -size 10737418240c | wc -l)\" = 1",
    ),
    deed(
        "block volume grow",
        "lxctl storage create fpool dir && lxctl storage volume create fpool fvol --type=block",
        "lxctl storage volume set fpool fvol size=11GiB",
        "test \"$(find /var/lib/lxhost/pools/fpool/volumes/instances -name volume.img -size 11811160064c | wc -l)\" = 1",
    ),
    deed(
        "block volume restore",
        "lxctl storage create fpool dir && lxctl storage volume create fpool fvol --type=block \
         && lxctl storage volume snapshot fpool fvol s1 && lxctl storage volume set fpool fvol size=11GiB",
        "lxctl storage volume snapshot restore fpool fvol s1",
        "test \"$(find /var/lib/lxhost/pools/fpool/volumes/instances -name volume.img -size 11811160064c | wc -l)\" = 1",
    ),
    deed(
        "volume rename",
        "lxctl storage create fpool dir && lxctl storage volume create fpool fvol",
        "lxctl storage volume rename fpool fvol fvol2",
        "lxctl storage volume info fpool fvol2 >/dev/null",
    ),
    deed(
        "volume delete",
        "lxctl storage create fpool dir && lxctl storage volume create fpool fvol",
        "lxctl storage volume delete fpool fvol",
        "! lxctl storage volume list -q | grep -q fvol",
    ),
    deed(
        "volume snapshot of what runs",
        VOLUME,
        "lxctl storage volume snapshot POOL fvol s1",
        "lxctl storage volume snapshot list POOL fvol -q | grep -qx s1 && lives f1",
    )
    .stores(),
    deed(
        "volume snapshot restore",
        VOLUME_SNAPSHOT,
        "lxctl storage volume snapshot restore POOL fvol s1",
        "{ is f1 running || lxctl start f1; } && lxctl exec f1 -- test -e /srv/kept",
    )
    .again("lxctl stop --force f1; lxctl storage volume snapshot restore POOL fvol s1")
    .stores(),
    deed(
        "volume snapshot delete",
        VOLUME_SNAPSHOT,
        "lxctl storage volume snapshot delete POOL fvol s1",
        "test -z \"$(lxctl storage volume snapshot list POOL fvol -q)\" && lxctl start f1 && lives f1",
    )
    .stores(),
    deed(
        "volume refresh of a copy",
        VOLUME_REFRESH,
        "lxctl storage volume copy POOL/fvol POOL/fvol2 --refresh",
        VOLUME_REFRESHED,
    )
    .stores(),
    deed("volume copy of what runs", VOLUME_USED_AND_SNAPSHOT, "lxctl storage volume copy POOL/fvol POOL/fvol2", VOLUME_COPIED)
        .stores(),
    deed(
        "volume copy to another pool",
        VOLUME_AWAY,
        "lxctl storage volume copy POOL/fvol fpool/fvol2",
        "lxctl storage volume attach fpool fvol2 f1 /mnt && lxctl exec f1 -- test -e /mnt/kept && lives f1 \
            && lxctl storage volume snapshot list fpool fvol2 -q | grep -qx s1",
    )
    .stores(),
    deed(
        "volume move to another pool",
        "lxctl storage create fpool dir && lxctl storage volume create POOL fvol && lxctl storage volume snapshot POOL fvol s1",
        "lxctl storage volume move POOL/fvol fpool/fvol",
        "lxctl storage volume list fpool -q | grep -qx fvol && ! lxctl storage volume list POOL -q | grep -qx fvol \
            && lxctl storage volume snapshot restore fpool fvol s1",
    )
    .stores(),
    deed(
        "volume export of what runs",
        VOLUME_USED_AND_SNAPSHOT,
        "rm -f /tmp/fvol.tar && lxctl storage volume export POOL fvol /tmp/fvol.tar",
        "lxctl backup verify /tmp/fvol.tar --format csv | grep -q s1 && lives f1",
    )
    .stores(),
    deed(
        "volume import",
        "rm -f /tmp/fvol.tar && lxctl storage volume create POOL fvol && lxctl storage volume snapshot POOL fvol s1 \
            && lxctl storage volume export POOL fvol /tmp/fvol.tar",
        "lxctl storage volume import POOL /tmp/fvol.tar fvol2",
        "lxctl storage volume snapshot restore POOL fvol2 s1 && lxctl storage volume list POOL -q | grep -qx fvol",
    )
    .stores(),
    deed(
        "volume delete with a snapshot",
        "lxctl storage volume create POOL fvol && lxctl storage volume snapshot POOL fvol s1",
        "lxctl storage volume delete POOL fvol",
        "! lxctl storage volume list -q | grep -q fvol",
    )
    .stores(),
];
