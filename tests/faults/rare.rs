//! What is done less often, or is no more than a record: with the other deeds these pass every failpoint that there
//! is. A short run only does them, a whole one tries faults at their points too. Pure data. Called by the matrix.

use crate::deeds::{Deed, IMPORT, LAUNCH, REFRESHED, deed};

/// Points of these no deed passes: a pull is what `fetch` is about, and what serves files makes nothing that could be left,
/// with a program that these hosts lack.
pub(crate) const ELSEWHERE: &[&str] = &["image.pull", "volume.serve"];

/// A copy on another pool of what runs on, and has another snapshot since.
const REFRESH_AWAY: &str = "lxctl storage create fpool dir && lxctl launch busybox f1 -s POOL && lxctl snapshot f1 s1 \
    && lxctl copy f1 f2 -s fpool && lxctl exec f1 -- touch /root/kept && lxctl snapshot f1 s2 && lxctl snapshot delete f1 s1";
/// The same of a volume that something runs with.
const VOLUME_REFRESH_AWAY: &str = "lxctl storage create fpool dir && lxctl storage volume create POOL fvol \
    && lxctl create busybox f1 -s POOL && lxctl storage volume attach POOL fvol f1 /srv && lxctl start f1 \
    && lxctl storage volume copy POOL/fvol fpool/fvol2 && lxctl exec f1 -- touch /srv/kept \
    && lxctl storage volume snapshot POOL fvol s1";
const VOLUME_REFRESHED_AWAY: &str = "lxctl storage volume file pull fpool fvol2/kept - && lives f1 \
    && lxctl exec f1 -- test -e /srv/kept && test \"$(lxctl storage volume snapshot list fpool fvol2 -q)\" = s1";
const NETWORK: &str = "lxctl network create fnet ipv4.address=10.98.7.1/24";
const FORWARD: &str = "lxctl network create fnet ipv4.address=10.98.7.1/24 && lxctl network forward create fnet 192.0.2.77";
const BALANCER: &str =
    "lxctl network create fnet ipv4.address=10.98.7.1/24 && lxctl network load-balancer create fnet 192.0.2.78";
const WIRED: &str = "lxctl network create fnet && lxctl launch busybox f1 -s POOL";
const PLUGGED: &str = "lxctl network create fnet && lxctl launch busybox f1 -s POOL && lxctl network attach fnet f1 plug eth7";
const PROXIED: &str = "lxctl launch busybox f1 -s POOL && \
     lxctl config device add f1 web proxy listen=tcp:127.0.0.1:8181 connect=tcp:127.0.0.1:80";
const ATTACH: &str = "lxctl config device add f1 fdisk disk source=tmpfs: path=/mnt/fdisk";
const ATTACHED: &str = "lxctl exec f1 -- grep -q ' /mnt/fdisk ' /proc/self/mounts";
const LISTENS: &str = "ss -Hltn sport = :8181 | grep -q .";
const SILENT: &str = "! ss -Hltn sport = :8181 | grep -q .";
/// The init of the guest ends by itself, and the daemon has seen it.
const END: &str = "lxctl exec f1 -- poweroff && lxctl wait f1 --for stopped --timeout 20";

pub(crate) const RARE: &[Deed] = &[
    deed("ACL create", "", "lxctl network acl create facl", "lxctl network acl list -q | grep -qx facl"),
    deed(
        "ACL rename",
        "lxctl network acl create facl",
        "lxctl network acl rename facl facl2",
        "lxctl network acl list -q | grep -qx facl2 && ! lxctl network acl list -q | grep -qx facl",
    ),
    deed(
        "ACL delete",
        "lxctl network acl create facl",
        "lxctl network acl delete facl",
        "! lxctl network acl list -q | grep -qx facl",
    ),
    deed("alias create", IMPORT, "lxctl image alias create fresh2 fresh", "lxctl image info fresh2 >/dev/null"),
    deed(
        "alias delete",
        "lxctl image import /lab/fresh.tar --alias fresh --alias fresh2",
        "lxctl image alias delete fresh2",
        "! lxctl image info fresh2 >/dev/null 2>&1",
    ),
    deed("profile create", "", "lxctl profile create fprofile", "lxctl profile list -q | grep -qx fprofile"),
    deed(
        "profile change that plugs",
        "lxctl network create fnet && lxctl launch busybox f1 -s POOL && lxctl profile create fprofile && lxctl profile add f1 fprofile",
        "lxctl network attach-profile fnet fprofile plug eth7",
        "lxctl exec f1 -- ip link show dev eth7 >/dev/null",
    ),
    deed(
        "profile change that unplugs",
        "lxctl network create fnet && lxctl launch busybox f1 -s POOL && lxctl profile create fprofile && \
         lxctl network attach-profile fnet fprofile plug eth7 && lxctl profile add f1 fprofile",
        "lxctl network detach-profile fnet fprofile plug",
        "lives f1 && ! lxctl exec f1 -- ip link show dev eth7 2>/dev/null",
    ),
    deed(
        "profile delete",
        "lxctl profile create fprofile",
        "lxctl profile delete fprofile",
        "! lxctl profile list -q | grep -qx fprofile",
    ),
    deed(
        "storage set",
        "lxctl storage create fpool dir",
        "lxctl storage set fpool user.a=b",
        "test \"$(lxctl storage get fpool user.a)\" = b",
    ),
    deed(
        "storage create in a file",
        "",
        "lxctl storage create fpool btrfs size=256MiB",
        "mountpoint -q /var/lib/lxhost/pools/fpool && lxctl create busybox f1 -s fpool && lxctl delete f1",
    ),
    deed(
        "storage growth",
        "lxctl storage create fpool btrfs size=256MiB",
        "lxctl storage set fpool size=300MiB",
        "test \"$(lxctl storage get fpool size)\" = 300MiB && test \"$(stat -c %s /var/lib/lxhost/disks/fpool.img)\" = 314572800",
    ),
    deed(
        "storage delete with a file",
        "lxctl storage create fpool btrfs size=256MiB",
        "lxctl storage delete fpool",
        "! lxctl storage list -q | grep -qx fpool && test ! -e /var/lib/lxhost/disks/fpool.img",
    ),
    deed(
        "volume set",
        "lxctl storage create fpool dir && lxctl storage volume create fpool fvol",
        "lxctl storage volume set fpool fvol user.a=b",
        "test \"$(lxctl storage volume get fpool fvol user.a)\" = b",
    ),
    deed(
        "volume snapshot rename",
        "lxctl storage create fpool dir && lxctl storage volume create fpool fvol && lxctl storage volume snapshot fpool fvol s1",
        "lxctl storage volume snapshot rename fpool fvol s1 s2",
        "test \"$(lxctl storage volume snapshot list fpool fvol -q)\" = s2",
    ),
    deed(
        "volume snapshot replaced",
        "lxctl storage create fpool dir && lxctl storage volume create fpool fvol && lxctl storage volume snapshot fpool fvol s1",
        "lxctl storage volume snapshot fpool fvol s1 --reuse --comment again",
        "lxctl storage volume snapshot list fpool fvol --format csv | grep -q again",
    ),
    deed(
        "storage delete with a tree",
        "lxctl storage create fpool dir && lxctl create busybox f1 -s fpool && lxctl delete f1",
        "lxctl storage delete fpool",
        "! lxctl storage list -q | grep -qx fpool",
    ),
    deed(
        "delete of the last with its image",
        "lxctl image import /lab/fresh.tar --alias fresh && lxctl create fresh f1 -s POOL && lxctl image delete fresh",
        "lxctl delete f1",
        "gone f1",
    ),
    deed(
        "network forward create",
        NETWORK,
        "lxctl network forward create fnet 192.0.2.77 target_address=10.98.7.5",
        "lxctl network forward show fnet 192.0.2.77 >/dev/null && nft list table inet lxhost | grep -q 192.0.2.77",
    ),
    deed(
        "network forward delete",
        FORWARD,
        "lxctl network forward delete fnet 192.0.2.77",
        "! lxctl network forward show fnet 192.0.2.77 2>/dev/null",
    ),
    deed(
        "network load balancer create",
        NETWORK,
        "lxctl network load-balancer create fnet 192.0.2.78",
        "lxctl network load-balancer show fnet 192.0.2.78 >/dev/null",
    ),
    deed(
        "network load balancer delete",
        BALANCER,
        "lxctl network load-balancer delete fnet 192.0.2.78",
        "! lxctl network load-balancer show fnet 192.0.2.78 2>/dev/null",
    ),
    deed(
        "snapshot rename",
        "lxctl create busybox f1 -s POOL && lxctl snapshot f1 s1",
        "lxctl snapshot rename f1 s1 s2",
        "test \"$(lxctl snapshot list f1 -q)\" = s2",
    ),
    deed(
        "snapshot restore of what runs",
        "lxctl launch busybox f1 -s POOL && lxctl snapshot f1 s1 && lxctl config set f1 user.a=b",
        "lxctl restore f1 s1",
        "test \"$(lxctl config get f1 user.a)\" = '' && lives f1",
    )
    .again("lxctl restore f1 s1 && { is f1 running || lxctl start f1; }"),
    deed(
        "interface plugged",
        WIRED,
        "lxctl network attach fnet f1 plug eth7",
        "lxctl exec f1 -- ip link show dev eth7 >/dev/null",
    ),
    deed(
        "interface unplugged",
        PLUGGED,
        "lxctl network detach fnet f1 plug",
        "lives f1 && ! lxctl exec f1 -- ip link show dev eth7 2>/dev/null",
    ),
    deed("disk attached", LAUNCH, ATTACH, ATTACHED),
    deed(
        "disk detached",
        "lxctl launch busybox f1 -s POOL && lxctl config device add f1 fdisk disk source=tmpfs: path=/mnt/fdisk",
        "lxctl config device remove f1 fdisk",
        "lives f1 && ! lxctl exec f1 -- grep -q ' /mnt/fdisk ' /proc/self/mounts",
    ),
    deed(
        "disk moved",
        "lxctl launch busybox f1 -s POOL && lxctl config device add f1 fdisk disk source=tmpfs: path=/mnt/before",
        "lxctl config device set f1 fdisk path=/mnt/fdisk",
        "lxctl exec f1 -- grep -q ' /mnt/fdisk ' /proc/self/mounts && ! lxctl exec f1 -- grep -q ' /mnt/before ' /proc/self/mounts",
    ),
    deed(
        "start with a disk",
        "lxctl create busybox f1 -s POOL && lxctl config device add f1 fdisk disk source=tmpfs: path=/mnt/fdisk",
        "lxctl start f1",
        "lives f1 && lxctl exec f1 -- grep -q ' /mnt/fdisk ' /proc/self/mounts",
    ),
    deed(
        "profile change that attaches",
        "lxctl launch busybox f1 -s POOL && lxctl profile create fprofile && lxctl profile add f1 fprofile",
        "lxctl profile device add fprofile fdisk disk source=tmpfs: path=/mnt/fdisk",
        ATTACHED,
    ),
    deed(
        "profile change that detaches",
        "lxctl launch busybox f1 -s POOL && lxctl profile create fprofile && \
         lxctl profile device add fprofile fdisk disk source=tmpfs: path=/mnt/fdisk && lxctl profile add f1 fprofile",
        "lxctl profile device remove fprofile fdisk",
        "lives f1 && ! lxctl exec f1 -- grep -q ' /mnt/fdisk ' /proc/self/mounts",
    ),
    deed(
        "proxy opened",
        LAUNCH,
        "lxctl config device add f1 web proxy listen=tcp:127.0.0.1:8181 connect=tcp:127.0.0.1:80",
        LISTENS,
    ),
    deed("proxy closed", PROXIED, "lxctl config device remove f1 web", SILENT),
    deed(
        "start with a proxy",
        "lxctl launch busybox f1 -s POOL && \
         lxctl config device add f1 web proxy listen=tcp:127.0.0.1:8181 connect=tcp:127.0.0.1:80 && lxctl stop --force f1",
        "lxctl start f1",
        "lives f1 && ss -Hltn sport = :8181 | grep -q .",
    ),
    deed("restart in order", LAUNCH, "lxctl restart f1 --timeout 10", "lives f1")
        .again("if is f1 stopped; then lxctl start f1; else lxctl restart f1 --timeout 10; fi"),
    deed(
        "stop of what is paused",
        "lxctl launch busybox f1 -s POOL && lxctl pause f1",
        "lxctl stop f1 --timeout 10",
        "is f1 stopped",
    ),
    deed(
        "restart of what is paused",
        "lxctl launch busybox f1 -s POOL && lxctl pause f1",
        "lxctl restart f1 --timeout 10",
        "lives f1",
    )
    .again("if is f1 stopped; then lxctl start f1; else lxctl restart f1 --timeout 10; fi"),
    deed("end of the guest", LAUNCH, END, "is f1 stopped").again("is f1 stopped || lxctl wait f1 --for stopped --timeout 20"),
    deed(
        "daemon's start",
        "lxctl network create fnet",
        "systemctl stop lxhostd.service && ip link del dev fnet && systemctl start lxhostd.service && lxctl list",
        "ip link show dev fnet >/dev/null",
    )
    .again("lxctl list"),
    deed(
        "recover",
        "lxctl create busybox f1 -s POOL && \
         until grep -qs '\"f1\"' /var/lib/lxhost/pools/*/instances/*/instance.yaml; do sleep 0.1; done",
        "systemctl stop lxhostd.service && rm -f /var/lib/lxhost/state.db* && systemctl start lxhostd.service && lxctl recover --yes",
        "is f1 stopped && lxctl start f1 && lives f1",
    )
    .again("lxctl recover --yes"),
    deed("refresh of a copy on another pool", REFRESH_AWAY, "lxctl copy f1 f2 --refresh", REFRESHED),
    deed(
        "volume refresh of a copy on another pool",
        VOLUME_REFRESH_AWAY,
        "lxctl storage volume copy POOL/fvol fpool/fvol2 --refresh",
        VOLUME_REFRESHED_AWAY,
    ),
    deed(
        "undo of a volume",
        "lxctl storage volume create POOL fvol && lxctl storage volume snapshot POOL fvol s1 && \
         lxctl storage set POOL trash.expiry=7d && lxctl storage volume delete POOL fvol",
        "lxctl undo",
        "lxctl storage volume snapshot list POOL fvol -q | grep -qx s1",
    )
    .again("lxctl storage volume info POOL fvol >/dev/null || lxctl undo"),
    deed(
        "trash delete of a volume",
        "lxctl storage volume create POOL fvol && lxctl storage volume snapshot POOL fvol s1 && \
         lxctl storage set POOL trash.expiry=7d && lxctl storage volume delete POOL fvol",
        "lxctl trash delete fvol",
        "! lxctl trash list -q | grep -q .",
    )
    .again("! lxctl trash list -q | grep -q . || lxctl trash delete fvol"),
    deed(
        "trash delete of the last of an image",
        "lxctl image import /lab/fresh.tar --alias fresh && lxctl create fresh f1 -s POOL && \
         lxctl storage set POOL trash.expiry=7d && lxctl delete f1 && lxctl image delete fresh",
        "lxctl trash delete f1",
        "! lxctl trash list -q | grep -q .",
    )
    .again("! lxctl trash list -q | grep -q . || lxctl trash delete f1"),
    deed(
        "undo to another size",
        "lxctl profile create fprofile && lxctl profile device add fprofile root disk path=/ pool=POOL size=64MiB && \
         lxctl create busybox f1 -p default -p fprofile && lxctl storage set POOL trash.expiry=7d && lxctl delete f1 && \
         lxctl profile device set fprofile root size=128MiB",
        "lxctl undo",
        "is f1 stopped && lxctl start f1 && lives f1",
    )
    .again("is f1 stopped || lxctl undo")
    .sized(),
    deed(
        "create with a size",
        "",
        "lxctl create busybox f1 -s POOL -d root,size=64MiB",
        "is f1 stopped && lxctl start f1 && lives f1",
    )
    .sized(),
    deed(
        "size",
        "lxctl launch busybox f1 -s POOL -d root,size=64MiB",
        "lxctl config device set f1 root size=128MiB",
        "lives f1 && test $(lxctl config device get f1 root size) = 128MiB",
    )
    .sized(),
    deed(
        "size of a profile",
        "lxctl profile create fprofile && lxctl profile device add fprofile root disk path=/ pool=POOL size=64MiB && \
         lxctl launch busybox f1 -p default -p fprofile",
        "lxctl profile device set fprofile root size=128MiB",
        "lives f1 && test $(lxctl profile device get fprofile root size) = 128MiB",
    )
    .sized(),
    deed(
        "move with a size",
        "lxctl storage create fpool btrfs && lxctl create busybox f1 -s POOL -d root,size=64MiB",
        "lxctl move f1 -s fpool",
        "lxctl list pool=fpool -q | grep -qx f1 && lxctl start f1 && lives f1",
    )
    .sized(),
    deed(
        "import with a size",
        "lxctl create busybox f1 -s POOL -d root,size=64MiB && lxctl export f1 /tmp/f1.tar",
        "lxctl import /tmp/f1.tar f2 -s POOL",
        "test $(lxctl config device get f2 root size) = 64MiB && lxctl start f2 && lives f2",
    )
    .sized(),
    deed(
        "volume create with a size",
        "lxctl storage create fpool btrfs",
        "lxctl storage volume create fpool fvol size=64MiB",
        "lxctl storage volume info fpool fvol | grep -q '^Total: 64'",
    )
    .sized(),
    deed(
        "volume size",
        "lxctl storage create fpool btrfs && lxctl storage volume create fpool fvol size=64MiB",
        "lxctl storage volume set fpool fvol size=128MiB",
        "lxctl storage volume info fpool fvol | grep -q '^Total: 128'",
    )
    .sized(),
    deed(
        "volume copy with a size",
        "lxctl storage create fpool btrfs && lxctl storage volume create fpool fvol size=64MiB",
        "lxctl storage volume copy fpool/fvol fpool/fvol2",
        "lxctl storage volume info fpool fvol2 | grep -q '^Total: 64'",
    )
    .sized(),
    deed(
        "volume move with a size",
        "lxctl storage create fpool btrfs && lxctl storage create fpool2 btrfs && \
         lxctl storage volume create fpool fvol size=64MiB",
        "lxctl storage volume move fpool/fvol fpool2/fvol",
        "lxctl storage volume info fpool2 fvol | grep -q '^Total: 64'",
    )
    .sized(),
    deed(
        "volume import with a size",
        "rm -f /tmp/fvol.tar && lxctl storage create fpool btrfs && lxctl storage volume create fpool fvol size=64MiB && \
         lxctl storage volume export fpool fvol /tmp/fvol.tar",
        "lxctl storage volume import fpool /tmp/fvol.tar fvol2",
        "lxctl storage volume info fpool fvol2 | grep -q '^Total: 64'",
    )
    .sized(),
];
