#!/bin/bash
# The demonstration, from outside: shows the plan, runs demo/tour.sh in a lab, and looks whether anything is left.
# Needs no root. The machine's own network is neither used nor changed. Usage: demo/run.sh PATH-OF-RDSUP
set -eu
cd "$(dirname "$0")/.."
. demo/say.sh
RDSUP=$(readlink -f "${1:-target/debug/rdsup}")
export RDSUP
PATH=$PATH:/usr/sbin:/sbin
# Through sudo `rdsup exec` would become the calling user, who may not send pings in a new namespace.
unset SUDO_UID SUDO_GID SUDO_USER
file=conf/demo.toml
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What the machine looks like to whoever runs this. Interface counters and the like are left out.
machine() {
    echo "namespaces:" && ls /run/netns 2>/dev/null || true
    echo "interfaces:" && ip -o link | sed 's/ qdisc .*//' && ip -o address | sed 's/ valid_lft .*//'
    echo "routes:" && ip -4 route && ip -6 route
    echo "filter:" && nft list tables 2>/dev/null || true
    echo "files:" && find /run/rdsup /var/lib/rdsup -maxdepth 1 2>/dev/null || true
}

# hostile runs FRR where there is one that can be used.
if [ -x /usr/lib/frr/bgpd ]; then
    sed 's/^# \(daemon = "frr"\)/\1/' "$file" >"$work/demo.toml"
    if "$RDSUP" lab "$work/demo.toml" -- true >"$work/frr" 2>&1; then
        file=$work/demo.toml
    else
        say "hostile runs BIRD, because FRR cannot be used here" && cat "$work/frr"
    fi
fi
export RDSUP_CONFIG=$file

say "The file"
show grep -v '^#' "$file"

say "The plan: what an admin would have typed, in the right order"
# In namespaces of its own, as on a machine where nothing runs yet.
private=(unshare --net --mount --pid --fork --kill-child --mount-proc)
[ "$(id -u)" = 0 ] || private+=(--user --map-root-user)
told "rdsup -c $file plan"
"${private[@]}" sh -euc 'mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs /var/lib; exec "$@"' sh "$RDSUP" -c "$file" plan |
    tee "$work/plan"
expect "the plan makes the namespace of private" grep -q 'ip netns add private' "$work/plan"
expect "the plan loads its packet filter" grep -q 'nft -f .*private' "$work/plan"
expect "the plan starts its daemon" grep -q 'netns exec private bird' "$work/plan"
if grep -q '^daemon = "frr"' "$file"; then
    expect "and FRR in hostile" grep -q 'netns exec hostile .*bgpd' "$work/plan"
fi

say "The same network for real, in throwaway namespaces"
machine >"$work/before"
told "rdsup lab $file -- demo/tour.sh"
"$RDSUP" lab "$file" -- demo/tour.sh "$work/namespaces"

say "Afterwards nothing is left"
machine >"$work/after"
expect "the machine's interfaces, routes, namespaces, tables and files are as before" diff -u "$work/before" "$work/after"
expect "the tour noted its namespaces" test -s "$work/namespaces"
# Processes end a moment after the one that they depend on.
eventually 10 "no process of the lab is left" no_process_left "$work/namespaces"

say "All of it was seen"
