# One case of the crash matrix, in the host: BEFORE, then ARMED faults, then ACT; the daemon comes back, and
# what was acknowledged is DONE, or it can be done AGAIN. Prints a line for each thing that is wrong. With
# RECORD, prints the points that ACT passes instead.
faults=/run/lxhost/faults log=/tmp/case.log
wrong() { echo "wrong: $*: $(tail -n 3 $log | tr '\n' ' ')"; }
at_rest() {
    lxctl operation list --format json >/tmp/jobs 2>$log && ! grep -qE '"status": "(queued|running|canceling)"' /tmp/jobs &&
        lxctl list -c s --format csv,noheader >/tmp/statuses 2>$log && ! grep -qviE '^(running|stopped|frozen|deleting)$' /tmp/statuses
}
# $1 tenths of a second of a machine's own speed, until what follows succeeds.
within() {
    left=$(($1 * PATIENCE))
    shift
    until "$@"; do
        left=$((left - 1))
        test $left -gt 0 || return 1
        sleep 0.1
    done
}
# Until what is done behind everybody's back is done, in tenths of a second of a machine's own speed.
settle() { sleep $(($1 * PATIENCE / 10)).$(($1 * PATIENCE % 10)); }
fired() { ! test -s $faults/armed; }

# Has system calls of the daemon fail, or kill it.
interfere() {
    daemon=$(systemctl show -P MainPID lxhostd.service)
    strace -f -qq -e trace="$CALLS" -e inject="$CALLS:$INJECT" -o /tmp/trace -p "$daemon" 2>/tmp/strace &
    tracer=$!
    within 50 attached || wrong "it cannot be traced: $(cat /tmp/strace)"
}
attached() { ! grep -L 'TracerPid:[[:space:]]*[1-9]' /proc/"$daemon"/task/*/status | grep -q .; }
stand_back() {
    sleep 0.1
    if test "$daemon" = "$(systemctl show -P MainPID lxhostd.service)"; then
        grep -q INJECTED /tmp/trace || echo untouched
        kill -INT $tracer
    fi
    wait $tracer
    # After a disk that does not sync, nothing is written any more by this daemon.
    case $CALLS in *sync*) systemctl restart lxhostd.service ;; esac
}

# What hangs is shown before it is ended.
{
    sleep $((60 * PATIENCE)) &
    nap=$!
    trap 'kill $nap; exit' TERM
    wait $nap
    wrong "it hangs"
    ps -e -o pid,etime,stat,wchan:20,args | grep -E 'lxctl|lxhost|dnsmasq|nft'
    lxctl operation list 2>&1
    systemctl list-jobs --no-pager
    journalctl --no-pager -n 30 -o short-precise
    kill -KILL $$
} &
watch=$!

mkdir -p $faults && rm -f $faults/*
(eval "$BEFORE") >$log 2>&1 || wrong "it cannot be prepared"
within 100 at_rest || wrong "it is not at rest before: $(cat /tmp/statuses)"
if test -n "$RECORD"; then
    settle 2
    : >$faults/passed
    (eval "$ACT") >$log 2>&1 || wrong "it fails without a fault"
    settle 3
    cat $faults/passed
    rm $faults/passed
    (eval "$DONE") >>$log 2>&1 || wrong "it is not done, without a fault"
else
    printf '%s' "$ARMED" >$faults/armed
    test -z "$INJECT" || interfere
    (eval "$ACT") >$log 2>&1
    code=$?
    test -z "$INJECT" || stand_back
    # Definitions are written behind everybody's back, several at once where they come together.
    case $ARMED in
    definition/*) within 5 fired ;;
    *) within 100 fired || wrong "not everything happened: $(cat $faults/armed)" ;;
    esac
    rm -f $faults/armed
    sleep 0.02
    within 150 at_rest || wrong "it does not come to rest: $(tr '\n' ' ' </tmp/statuses)"
    if test $code = 0; then
        (eval "$DONE") >>$log 2>&1 || wrong "it was acknowledged and is not done"
    elif ! (eval "$DONE") >>$log 2>&1; then
        # An end of the guest that comes in between is another operation, and may be what was wanted.
        (eval "$AGAIN") >>$log 2>&1 || { within 100 at_rest && { (eval "$DONE") || (eval "$AGAIN"); } >>$log 2>&1; } ||
            wrong "it cannot be done again"
        within 100 at_rest || wrong "it does not come to rest, again: $(tr '\n' ' ' </tmp/statuses)"
        (eval "$DONE") >>$log 2>&1 || wrong "it was done again and is not done"
    fi
fi
(eval "$TIDY") >$log 2>&1 || wrong "it cannot be tidied up"
kill $watch
wait $watch || true
