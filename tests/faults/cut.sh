# Power cuts, in the host: the state directory lies on a disk of its own, a loop device over a file in memory,
# whose file system stops dead (ext4, xfs: FS_IOC_SHUTDOWN without its log) or is cloned as it is (btrfs).
# Everything that runs dies with it. What was acknowledged before has to be whole after.
# With `two`, the pools lie on a disk of their own: what is synced on one says nothing of the other.
#   cut.sh prepare         disk from /lab/disk.img, daemon on it, images and a pool
#   cut.sh round N HOW     deeds, the first of them number N; then the cut: `after K` of them, or `at T` seconds
# With `machine`, the host has a kernel of its own, and whoever runs this cuts its power; KEPT outlives that.
#   cut.sh fill            images and a pool
#   cut.sh deeds N         deeds, the first of them number N, saying how many were acknowledged
#   cut.sh verify          what there has to be, after the next boot
kept=${KEPT:-/run}
state=/var/lib/lxhost disk=/run/disk acks=$kept/acks log=/tmp/cut.log
acked=
wrong() { echo "wrong: $*"; }
within() {
    left=$1
    shift
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        test $left -gt 0 || return 1
        sleep 0.05
    done
}
released() { test -z "$(losetup -j $disk/it)$(losetup -j $disk/pools)"; }
answers() { lxctl list && ! lxctl list -c s --format csv,noheader | grep -qviE '^(running|stopped|frozen)$'; }

switch_on() {
    mount -o loop,noatime $disk/it $state || exit 1
    test "$fs" != two || { mkdir -p $state/pools && mount -o loop,noatime $disk/pools $state/pools || exit 1; }
    systemctl reset-failed lxhostd.service 2>/dev/null
    systemctl start lxhostd.service || wrong "the daemon does not start: $(systemctl show -P StatusText lxhostd.service)"
    within 200 answers || wrong "the daemon is not at rest: $(lxctl list -c ns --format csv 2>&1)"
}
# Nothing of what ran is left, nothing was told to end.
switch_off() {
    if test "$fs" = btrfs; then
        cp --reflink=always $disk/it $disk/after
    else
        # FS_IOC_SHUTDOWN, FS_SHUTDOWN_FLAGS_NOLOGFLUSH
        for place in $state $(test "$fs" != two || echo $state/pools); do
            perl -e 'my $how = pack("L", 2); open(D, "<", shift) && ioctl(D, 0x8004587d, $how) or die "$!"' $place || exit 1
        done
    fi
    pkill -KILL -x lxctl
    systemctl kill -s KILL lxhostd.service 'lxhost-*' 2>/dev/null
    systemctl stop lxhostd.service 'lxhost-dnsmasq@*' 'lxhost-*.scope' 2>/dev/null
    pkill -KILL -x lxhost-runtime
    ip link del lxbr0 2>/dev/null
    test "$fs" != two || within 200 umount $state/pools || wrong "the pools' disk stays in use: $(fuser -vm $state/pools 2>&1 | tail -n 3)"
    within 200 umount $state || wrong "the disk stays in use: $(fuser -vm $state 2>&1 | tail -n 3)"
    within 200 released || wrong "the disk's device stays"
    test "$fs" != btrfs || mv $disk/after $disk/it
}

deed() { # number name command...: notes what is begun, and what was acknowledged
    echo "? $2" >>$acks
    shift
    name=$1
    shift
    if "$@" >$log 2>&1; then echo "$name" >>$acks; else echo "! $name" >>$acks; return 1; fi
    test -z "$acked" || { acked=$((acked + 1)) && echo "acknowledged $acked"; }
}
image() { # a small image that is nobody else's
    rm -rf /run/image && mkdir -p /run/image/rootfs/etc
    printf 'architecture: %s\ncreation_date: 1\nproperties: {description: "%s"}\n' "$(uname -m)" "$1" >/run/image/metadata.yaml
    head -c 200000 /dev/urandom >/run/image/rootfs/etc/data
    tar -C /run/image -cf /run/image.tar metadata.yaml rootfs
}
copy() { # from, to: lxctl does not have it yet
    manager="org.lxhost1 /org/lxhost1 org.lxhost1.Manager"
    from=$(busctl call $manager GetInstance ss default "$1" | cut -d '"' -f 2)
    job=$(busctl call $manager CreateInstance 'ssa{sv}a{sv}a{sv}' default "$2" 2 type s copy instance o "$from" 0 0 | cut -d '"' -f 4)
    busctl call org.lxhost1 "$job" org.lxhost1.Job Wait t 30000000 | grep -q '"done"'
}
deeds() { # the first, how many
    i=$1 n=$2 k=0
    while test $k -lt "$n"; do
        case $((i % 10)) in
        0) deed $i "+a$r" lxctl create busybox a$r ;;
        1) deed $i "+b$r" lxctl launch busybox b$r ;;
        2) deed $i "+c$r" lxctl create busybox c$r -c user.n=$r ;;
        3) image $r && deed $i "+image:i$r" lxctl image import /run/image.tar --alias i$r ;;
        4) deed $i "+d$r" copy base d$r ;;
        5) deed $i "+pool:p$r" lxctl storage create p$r dir ;;
        6) for name in $(lxctl list -q | grep -v base | head -n 2); do deed $i "-$name" lxctl delete --force $name; done ;;
        7) deed $i "=$r" lxctl config set base user.n=$r ;;
        8) for name in $(lxctl image list --format json | grep -oE '"i[0-9]+"' | tr -d '"' | head -n 2); do deed $i "-image:$name" lxctl image delete $name; done ;;
        9) for name in $(lxctl storage list -q | grep '^p' | head -n 1); do deed $i "-pool:$name" lxctl storage delete $name; done ;;
        esac
        i=$((i + 1)) k=$((k + 1))
    done
}

root_of() { echo $state/pools/default/instances/*/; }
verify() {
    lxctl list -q >/tmp/there
    lxctl storage list -q | sed 's/^/pool:/' >>/tmp/there
    lxctl image list --format json | grep -oE '"i[0-9]+"' | tr -d '"' | sed 's/^/image:/' >>/tmp/there
    # The last word on each name counts, unless something was begun that was not acknowledged.
    awk '{ line = $0; begun = sub(/^[?!] /, "", line); name = substr(line, 2)
           if (begun) unsure[name] = 1; else { unsure[name] = 0; last[name] = substr(line, 1, 1) } }
         END { for (name in last) if (!unsure[name] && last[name] != "=") print last[name], name }' $acks >/tmp/acked
    while read -r sign name; do
        case $sign in
        +) grep -qx "$name" /tmp/there || wrong "$name was acknowledged and is gone" ;;
        -) grep -qx "$name" /tmp/there && wrong "$name was deleted and is there" ;;
        esac
    done </tmp/acked
    set=$(grep -E '^[?]? ?=' $acks | tail -n 1)
    case $set in =*) test "$(lxctl config get base user.n)" = "${set#=}" || wrong "the key that was set is $(lxctl config get base user.n), not ${set#=}" ;; esac
    places=$(ls $state/pools | grep -v lost+found | sort) pools=$(lxctl storage list -q | sort)
    test "$places" = "$pools" || wrong "there are the pools $pools in $places"
    # As many roots as instances, nothing half made, nothing on its way out.
    roots=$(find $state/pools/*/instances -mindepth 1 -maxdepth 1 | wc -l)
    test "$roots" = "$(grep -cv : /tmp/there)" || wrong "there are $roots roots for $(grep -cv : /tmp/there) instances: $(ls -la $state/pools/*/instances)"
    left=$(find $state/pools/*/.trash $state/pools/*/images/.staging* $state/images/.incoming* -mindepth 1 -maxdepth 1 2>/dev/null)
    test -z "$left" || wrong "left over: $left"
    for file in $state/images/*; do
        test "$(sha256sum <$file | cut -d ' ' -f 1)" = "${file##*/}" || case $file in *.rootfs | *) test -e "$file.rootfs" -o "${file%.rootfs}" != "$file" || wrong "$file is another file now"; esac
    done
    # What was made last is used: it has to start, as itself.
    for name in $(grep -E '^[+][abcd][0-9]+$' $acks | tail -n 3 | tr -d +); do
        grep -qx $name /tmp/there || continue
        lxctl start $name >$log 2>&1 || wrong "$name does not start: $(cat $log)"
        test "$(lxctl exec $name -- cat /etc/hostname 2>&1)" = $name || wrong "$name has lost its name: $(lxctl exec $name -- ls -l /etc/hostname 2>&1)"
        lxctl exec $name -- cat /etc/hosts | grep -q $name || wrong "$name has lost its hosts"
        case $name in d*) test "$(lxctl exec $name -- sha256sum /root/data | cut -c 1-64)" = "$(cat $kept/data.sum)" || wrong "$name has lost data of its original" ;; esac
        lxctl stop --force $name >$log 2>&1 || wrong "$name does not stop: $(cat $log)"
    done
}

prepare() {
    mkdir -p $disk
    mknod /dev/loop-control c 10 237 2>/dev/null
    for n in $(seq 0 63); do mknod /dev/loop$n b 7 $n 2>/dev/null; done
    systemctl stop lxhostd.service
    if test "$fs" = btrfs; then
        # A file system that clones the disk at a stroke.
        cp --sparse=always /lab/outer.img /run/outer.img && mount -o loop /run/outer.img $disk
    fi
    cp --sparse=always /lab/disk.img $disk/it
    test "$fs" != two || cp --sparse=always /lab/disk.img $disk/pools
    mkdir -p /etc/systemd/system/lxhostd.service.d
    printf '[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestart=no\n' >/etc/systemd/system/lxhostd.service.d/cut.conf
    systemctl daemon-reload
    switch_on
    fill
    # A log that starts over is written in place, and syncing it takes nothing else to the disk.
    for n in $(seq 400); do lxctl config set base user.n=0 user.text=$n >/dev/null; done
    # What was before is on the disk; the first cut is about what comes after.
    sync -f $state
}
fill() {
    lxctl image import "$META" "$ROOT" --alias busybox >/dev/null
    lxctl launch busybox base >/dev/null
    head -c 3000000 /dev/urandom >/run/data && sha256sum </run/data | cut -c 1-64 >$kept/data.sum
    lxctl exec base -- sh -c 'cat >/root/data' </run/data
    lxctl stop --force base >/dev/null
    : >$acks
}

fs=$FS
case $1 in
prepare) prepare ;;
fill) fill ;;
deeds)
    r=$2 acked=0
    deeds $r 10
    ;;
verify)
    within 400 answers || wrong "the daemon is not at rest: $(lxctl list -c ns --format csv 2>&1)"
    verify
    ;;
round)
    r=$2
    case $3 in
    after) deeds $r "$4" && switch_off ;;
    at)
        (deeds $r 10) &
        sleep "$4"
        kill -KILL $!
        switch_off
        ;;
    esac
    switch_on
    verify
    ;;
esac
