#!/usr/bin/env bash
#
# stead-demo: the store's main job, shown on real input. Starts etcd on free loopback ports with its
# data in a temporary directory, drives it with Debian's etcdctl and with ours, prints every command
# with its answer, checks the answers, and cleans up. Exit status 0 when every check held.
#
# usage: stead demo [--keep]
# ETCD_BIN and OUR_ETCDCTL name other programs to show than the ones installed beside this one.

set -uo pipefail

HERE=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
ETCD=${ETCD_BIN:-$HERE/etcd}
OURS=${OUR_ETCDCTL:-$HERE/etcdctl}
DEBIAN=/usr/bin/etcdctl
READY='ready to serve client requests'
STREAM_SECONDS=2
WRITERS=4

keep=false
checks=0 failures=0
etcd_pid='' etcd_port='' peer_port=''
jobs_started=()

# ---- printing ----------------------------------------------------------------------------------

bold='' dim='' plain=''
if [ -t 1 ]; then
    bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'
fi

title() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
note() { printf '  %s%s%s\n' "$dim" "$*" "$plain"; }
indent() { sed 's/^/    /'; }
die() {
    echo "stead demo: $*" >&2
    exit 1
}

# ---- checking ----------------------------------------------------------------------------------

# check WHAT COMMAND...: counts, and says so when it fails.
check() {
    local what=$1
    shift
    checks=$((checks + 1))
    "$@" && return
    failures=$((failures + 1))
    echo "    CHECK FAILED: $what"
}

answer_is() { [ "$ANSWER" = "$1" ]; }
answer_has() { [[ $ANSWER == *"$1"* ]]; }

# ---- clients -------------------------------------------------------------------------------------

# client DEBIAN|OURS ARGUMENT...
client() {
    local program=${!1}
    shift
    "$program" --endpoints="127.0.0.1:$etcd_port" "$@"
}

# say_command DEBIAN|OURS ARGUMENT...: as one would type it.
say_command() {
    local line='etcdctl' word
    [ "$1" = OURS ] && line='stead etcdctl'
    for word in "${@:2}"; do
        [[ $word =~ ^([A-Za-z0-9_./=:@%+,-]+|&)$ ]] || word=${word@Q}
        line+=" $word"
    done
    printf '  %s$ %s%s\n' "$bold" "$line" "$plain"
}

# show DEBIAN|OURS ARGUMENT...: prints the command and its answer, which stays in $ANSWER. Input, if
# any, comes from $INPUT.
show() {
    say_command "$@"
    [ -n "${INPUT:-}" ] && sed 's/^/  > /' <<<"$INPUT"
    ANSWER=$(client "$@" <<<"${INPUT:-}" 2>&1)
    [ -n "$ANSWER" ] && indent <<<"$ANSWER"
    return 0
}

revision() { client DEBIAN get / -w fields | sed -n 's/^"Revision" : //p'; }

# background FILE DEBIAN|OURS ARGUMENT...: prints the command, runs it beside us into FILE.
background() {
    local out=$1
    shift
    say_command "$@" '&'
    # exec: the job is the client itself, so that ending the job ends it.
    (program=${!1} && shift && exec "$program" --endpoints="127.0.0.1:$etcd_port" "$@") \
        >"$out" 2>&1 </dev/null &
    jobs_started+=($!)
}

wait_for() { # SECONDS COMMAND...
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.05
    done
}

file_has_lines() { [ "$(wc -l <"$1")" -ge "$2" ]; }

# ---- the server ----------------------------------------------------------------------------------

free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 20000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

start_etcd() {
    local began=$EPOCHREALTIME
    : >"$DIR/log"
    "$ETCD" --data-dir "$DIR/data" --name demo \
        --listen-client-urls "http://127.0.0.1:$etcd_port" \
        --advertise-client-urls "http://127.0.0.1:$etcd_port" \
        --listen-peer-urls "http://127.0.0.1:$peer_port" \
        --initial-advertise-peer-urls "http://127.0.0.1:$peer_port" \
        --initial-cluster "demo=http://127.0.0.1:$peer_port" >>"$DIR/log" 2>&1 &
    etcd_pid=$!
    wait_for 20 grep -q "$READY" "$DIR/log" || {
        tail -n 20 "$DIR/log" | indent
        die "etcd did not start within 20 s"
    }
    note "etcd serves on 127.0.0.1:$etcd_port after $(milliseconds_since "$began") ms"
}

milliseconds_since() { echo $(((${EPOCHREALTIME/[.,]/} - ${1/[.,]/}) / 1000)); }

clean_up() {
    local status=$?
    trap - EXIT INT TERM
    for pid in "${jobs_started[@]}" $etcd_pid; do
        kill -9 "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
    if $keep; then
        echo "data kept in $DIR"
    else
        rm -rf "$DIR"
    fi
    exit $status
}

# ---- the scenes ------------------------------------------------------------------------------------

scene_put_get() {
    title "Put and get"
    show DEBIAN put greeting 'hello, world'
    check "put answers OK" answer_is OK
    show DEBIAN get greeting
    check "get returns it" answer_is $'greeting\nhello, world'
    show OURS get greeting --print-value-only
    check "both clients agree" answer_is 'hello, world'
}

scene_ranges() {
    title "Ranges"
    for machine in web1 web2 db1; do
        show OURS put "machines/$machine" up
    done
    show DEBIAN get --prefix machines/ --keys-only
    check "a prefix finds three" answer_has machines/web2
    show DEBIAN get machines/d machines/w
    check "an interval finds one" answer_is $'machines/db1\nup'
    show OURS get --prefix machines/ --order=DESCEND --limit=1
    check "sorted and limited" answer_is $'machines/web2\nup'
}

scene_txn() {
    title "A transaction on two keys: 30 go from alice to bob, if alice still has 100"
    show DEBIAN put alice 100
    show DEBIAN put bob 0
    local transfer=$'value("alice") = "100"\n\nput alice 70\nput bob 30\n\nget alice\n'
    INPUT=$transfer show DEBIAN txn
    check "the first time it happens" answer_has SUCCESS
    INPUT=$transfer show OURS txn
    check "the second time it does not" answer_has FAILURE
    show OURS get bob
    check "bob has it once" answer_is $'bob\n30'
}

scene_watch() {
    title "A watch sees changes as they happen"
    background "$DIR/watch" DEBIAN watch --prefix --rev=$(($(revision) + 1)) sensors/
    show OURS put sensors/door open
    show DEBIAN del sensors/door
    wait_for 5 file_has_lines "$DIR/watch" 6
    note "the watcher saw:"
    indent <"$DIR/watch"
    ANSWER=$(xargs <"$DIR/watch")
    check "put and delete were seen" answer_is 'PUT sensors/door open DELETE sensors/door'
}

key_is_gone() { [ -z "$(client DEBIAN get "$1")" ]; }

scene_lease() {
    title "A lease expires and takes its key along"
    show DEBIAN lease grant 2
    local lease
    lease=$(awk '{print $2}' <<<"$ANSWER")
    show OURS put --lease="$lease" session alive
    show DEBIAN get session
    check "the key is there" answer_is $'session\nalive'
    note "waiting for the two seconds to pass"
    wait_for 10 key_is_gone session
    show OURS get session
    check "the key is gone" answer_is ''
}

# A program that takes its time inside: visit NAME
write_visit() {
    cat >"$DIR/visit" <<VISIT
#!/bin/sh
echo "\$1 comes in" >>$DIR/visitors
sleep 0.5
echo "\$1 goes out" >>$DIR/visitors
VISIT
    chmod +x "$DIR/visit"
    touch "$DIR/visitors"
}

scene_lock() {
    title "A lock two clients contend for"
    local first
    write_visit
    background "$DIR/lock-1" DEBIAN lock building "$DIR/visit" first
    first=$!
    wait_for 5 test -s "$DIR/visitors"
    background "$DIR/lock-2" OURS lock building "$DIR/visit" second
    wait $first $!
    note "who was in the building when:"
    indent <"$DIR/visitors"
    ANSWER=$(xargs <"$DIR/visitors")
    check "one after the other" \
        answer_is 'first comes in first goes out second comes in second goes out'
}

scene_compaction() {
    title "Compaction forgets the past, not the present"
    local now value
    for value in one two three; do
        show DEBIAN put counter $value
    done
    now=$(revision)
    show OURS get counter --rev=$((now - 2))
    check "the past can be read" answer_is $'counter\none'
    show DEBIAN compaction "$now"
    check "compaction answers" answer_is "compacted revision $now"
    show OURS get counter --rev=$((now - 2))
    check "the past is gone, and it says so" answer_has 'required revision has been compacted'
    show DEBIAN get counter
    check "the present is there" answer_is $'counter\nthree'
}

# writer NUMBER: puts numbered keys until the server is gone; notes each acknowledged one.
writer() {
    local who=DEBIAN n=0
    [ $(($1 % 2)) = 0 ] && who=OURS
    while [ "$(client $who put "stream/$1-$n" "value $1-$n" 2>/dev/null)" = OK ]; do
        echo "stream/$1-$n" >>"$DIR/acknowledged-$1"
        n=$((n + 1))
    done
}

scene_kill() {
    title "kill -9 in the middle of a stream of writes"
    local n writers=()
    for n in $(seq $WRITERS); do
        writer "$n" &
        writers+=($!)
    done
    jobs_started+=("${writers[@]}")
    sleep $STREAM_SECONDS
    echo "  ${bold}\$ kill -9 $etcd_pid${plain}"
    kill -9 "$etcd_pid"
    wait "$etcd_pid" 2>/dev/null
    wait "${writers[@]}"
    sort "$DIR"/acknowledged-* >"$DIR/acknowledged"
    note "$(wc -l <"$DIR/acknowledged") writes had been acknowledged by $WRITERS writers"
    check "there was a stream" test -s "$DIR/acknowledged"
    start_etcd
    client DEBIAN get --prefix stream/ --keys-only | grep . | sort >"$DIR/found"
    ANSWER=$(comm -23 "$DIR/acknowledged" "$DIR/found")
    check "every acknowledged write is there" answer_is ''
    note "$(wc -l <"$DIR/found") found after the restart; acknowledged and missing: $(grep -c . <<<"$ANSWER")"
    show OURS get greeting
    check "what was written before is there" answer_is $'greeting\nhello, world'
}

# ---- all of it -------------------------------------------------------------------------------------

# What the caller's environment says to etcd or etcdctl is not for these.
forget_environment() {
    local name
    for name in $(compgen -e | grep -E '^ETCD(CTL)?_'); do
        unset "$name"
    done
    export ETCDCTL_API=3
}

prepare() {
    [ "${1:-}" = --keep ] && keep=true
    [ -x "$ETCD" ] || die "no etcd at $ETCD: build it first (./dev build), or set ETCD_BIN"
    [ -x "$OURS" ] || die "no etcdctl at $OURS: build it first (./dev build), or set OUR_ETCDCTL"
    if [ ! -x $DEBIAN ]; then
        note "Debian's etcdctl is not installed (package etcd-client): ours stands in for it"
        DEBIAN=$OURS
    fi
    forget_environment
    DIR=$(mktemp -d "${TMPDIR:-/var/tmp}/stead-demo-XXXXXX") || die "no temporary directory"
    trap clean_up EXIT
    trap 'exit 130' INT TERM
    etcd_port=$(free_port)
    peer_port=$(free_port)
}

summary() {
    title "Summary"
    echo "  $((checks - failures)) of $checks checks held in $SECONDS s"
    if [ $failures = 0 ]; then
        echo "  Next: 'stead up' runs the store here; any etcd v3 client can use it."
    else
        echo "  etcd's log ends with:"
        tail -n 15 "$DIR/log" | indent
    fi
    [ $failures = 0 ]
}

main() {
    case ${1:-} in
    '' | --keep) ;;
    *)
        echo "usage: stead demo [--keep]" >&2
        exit 3
        ;;
    esac
    prepare "$@"
    title "$("$ETCD" --version | head -n 1), data in $DIR"
    start_etcd
    scene_put_get
    scene_ranges
    scene_txn
    scene_watch
    scene_lease
    scene_lock
    scene_compaction
    scene_kill
    summary
}

main "$@"
