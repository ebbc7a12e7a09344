# What a host has at a moment, section by section, a line for each thing. Run by unchanged.rs.
# Left out: times and counters; what guests do in their own roots, processes and addresses, but for their
# inits; and the files of the database, whose records are asked for instead.
set -u
looks=$(mktemp -d /tmp/look.XXXXXX) && trap 'rm -rf "$looks"' EXIT
mkdir -p /srv/canary/inner
test -e /srv/canary/file || echo canary >/srv/canary/file
test -L /srv/canary/link || ln -s file /srv/canary/link
state=/var/lib/lxhost run=/run/lxhost
daemon=$(systemctl show -P MainPID lxhostd.service)

ps -e --no-headers -o pid=,ppid=,user:32=,args= >"$looks/ps"

objects() {
    if test "$daemon" = 0; then echo "no daemon"; return; fi
    lxctl list -c nsatpPbdlc --format csv
    for name in $(lxctl list -q); do lxctl config show "$name"; lxctl snapshot list "$name" --format json; echo; done
    for what in image network profile trash; do echo "$what"; lxctl "$what" list --format json; echo; done
    # How full they are changes by itself.
    lxctl storage list --format json | grep -vE '^ *"(total|used|free)":'; echo
    for name in $(lxctl profile list -q); do lxctl profile show "$name"; done
    for name in $(lxctl network acl list -q); do lxctl network acl show "$name"; done
    for name in $(lxctl network list -q); do
        lxctl network show "$name"
        for what in forward load-balancer; do lxctl network "$what" list "$name" --format json; echo; done
    done
}
# Trees of images never change: a change of any kind is one of ctime. Guests change their own roots.
files() {
    find $state $run /etc /root /home /usr/local /srv/canary -xdev \( -name '*.db*' -o -name '*.log' -o -name leases -o -path '*/images/*/*' -o -path '*/instances/*/*/*' \) -prune \
        -o -path $run/faults -prune -o -type d -printf '%p %y %#m %U:%G\n' -o -printf '%p %y %#m %U:%G %s %l\n'
    for tree in $state/pools/*/images/*; do
        test -d "$tree" && echo "$tree $(find "$tree" -xdev -printf '%P %y %#m %U:%G %s %l %C@\n' | sort | sha256sum)"
    done
}
hashes() {
    find $state $run /etc /srv/canary -xdev \( -name '*.db*' -o -name leases -o -path '*/images/*' -o -path '*/instances/*/root' \
        -o -path '*/instances/*/upper' -o -path '*/instances/*/work' -o -path $run/faults \) -prune \
        -o -type f -size -512k -exec sha256sum {} +
}
# As tar writes them down; the names of their files are in the other sections.
xattrs() {
    find $state $run /etc /srv/canary -xdev \( -name '*.db*' -o -path '*/images/*/*' -o -path '*/instances/*/*/*' -o -path $run/faults \) -prune \
        -o \( -type d -o -type f -size -512k \) -print0 |
        tar -c --format=posix --xattrs --xattrs-include='*' --no-recursion --null -T - 2>/dev/null | grep -aoE '[0-9]+ SCHILY.xattr.*'
}
mounts() { cut -d ' ' -f 4- /proc/self/mountinfo; }
# Addresses of links of their own come when the kernel has made sure that nobody has them, and carriers follow.
links() {
    ip -oneline link | sed -E 's/^[0-9]+: //; s/NO-CARRIER,//; s/,LOWER_UP//; s/ state [A-Z]+//'
    ip -oneline address | sed -E 's/^[0-9]+: //; s/valid_lft.*//; s/ tentative//; s/ dynamic//'
    ip -4 route show table all | sed 's/ linkdown//'
    ip -6 route show table all | sed -E '/fe80::|multicast/d; s/ expires [0-9]+sec//; s/ linkdown//'
    ip rule; ip -6 rule
}
rules() { nft --stateless list ruleset; }
# What a guest makes below its own payload is its own; services of the host come and go.
cgroups() { find /sys/fs/cgroup -path '*/payload/*' -prune -o -path '*/user.slice/*' -prune -o -type d -print | awk '!/\.service/ || /lxhost/'; }
units() {
    systemctl list-units --all --plain --no-legend 'lxhost*' '*.scope' | awk '{print $1, $3, $4}'
    systemctl --failed --plain --no-legend
    find /run/systemd/transient /run/systemd/system /run/systemd/generator -printf '%p %l\n' 2>/dev/null | grep -v '\.scope'
}
# The machine's other hosts show their devices here too; only those over files of this host count.
devices() {
    for loop in /sys/block/loop*/loop/backing_file; do
        file=$(cat "$loop" 2>/dev/null)
        case $file in "$state"* | /srv* | /tmp* | /run*) test ! -e "$file" || echo "$loop:$file" ;; esac
    done
    grep -s . /sys/block/dm-*/dm/name | grep lxhost
    find /dev -type b -printf '%p\n'
}
# Kernel threads, the host's own services that come and go, guests and this script do not count.
processes() {
    grep -vE "^ *($$|[0-9]+ +$$) |^ *[0-9]+ +[0-9]+ +[0-9]+ |^ *[0-9]+ +[0-9]+ +[^ ]+ +(\[|/usr/lib/systemd|\(sd|\(udev|/usr/lib/polkit|/usr/sbin/agetty|ps )" "$looks/ps" | sed -E 's/^ *[0-9]+ +[0-9]+ +//'
}
daemon() {
    test "$daemon" = 0 && return
    echo "MainPID $daemon, started $(cut -d ' ' -f 22 /proc/"$daemon"/stat)"
    find /proc/"$daemon"/fd -printf '%l\n' 2>/dev/null | sed 's/[0-9][0-9]*/N/g'
}
canary() { find /srv/canary -type f -exec sha256sum {} +; find /srv/canary -printf '%p %C@ %l\n' | grep -v '/link '; }

sections='objects files hashes xattrs mounts links rules cgroups units devices processes daemon canary'
for section in $sections; do
    $section >"$looks/$section" 2>&1 &
done
wait
for section in $sections; do
    echo "@@ $section"
    LC_ALL=C sort "$looks/$section"
done
