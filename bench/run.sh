#!/bin/bash
# Measures rdsup against wiring by a shell loop, both in this one invocation and in a throwaway machine (namespaces for
# network, mounts and processes). Numbers of different invocations or machines are not comparable; ratios are.
# A missed target is reported and is no failure. Usage: bench/run.sh PATH-OF-RDSUP [LEAVES] [ROUNDS]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
PATH=$PATH:/usr/sbin:/sbin

if [ "${RDSUP_BENCH_INSIDE:-}" != yes ]; then
    rdsup=$(readlink -f "${1:-target/release/rdsup}")
    own=(unshare --net --mount --pid --fork --kill-child --mount-proc)
    [ "$(id -u)" = 0 ] || own+=(--user --map-root-user)
    # Not exec: the shell must be there to reap the daemons that the loop orphans.
    RDSUP_BENCH_INSIDE=yes "${own[@]}" bash "$here/run.sh" "$rdsup" "${2:-50}" "${3:-3}"
    exit
fi

rdsup=$1
count=$2
rounds=$3
. "$here/measure.sh"
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
mkdir -p /run/netns /run/bench
ip link set lo up
file=/run/bench/hub.toml

hub "$count" >"$file"

# Both networks are complete when every session is established and the last routes are in the kernel. The loop's hub
# passes everything on to everyone; with rdsup nobody asked for transit, so that the hub's kernel has every leaf's
# network and the last leaf's has the hub's.
loop_up() { bash "$here/shell-loop.sh" up "$count" /run/bench/loop >/dev/null; }
loop_down() { bash "$here/shell-loop.sh" down /run/bench/loop; }
rdsup_up() {
    "$rdsup" -q -c "$file" start --detach --wait >/dev/null
    until ip -n "leaf-$count" route show proto bird | grep -q '^198\.51\.100\.0/24'; do sleep 0.01; done
    until [ "$(ip -n hub route show proto bird | grep -c '^10\.')" -ge "$count" ]; do sleep 0.01; done
}
rdsup_down() { "$rdsup" -q -c "$file" stop >/dev/null; }

loop_times=()
rdsup_times=()
for ((round = 1; round <= rounds; round++)); do
    start=$(now)
    loop_up
    loop_times+=("$(since "$start")")
    loop_down
    start=$(now)
    rdsup_up
    rdsup_times+=("$(since "$start")")
    echo "round $round: shell loop ${loop_times[-1]} s, rdsup ${rdsup_times[-1]} s" >&2
    if [ "$round" -lt "$rounds" ]; then rdsup_down; fi
done

resident=$(awk '$1 == "VmRSS:" { printf "%.1f\n", $2 / 1024 }' "/proc/$(pgrep -xo rdsup)/status")
answer_times=()
for _ in {1..20}; do
    start=$(now)
    "$rdsup" -c "$file" ctl hub show bgp summary >/run/bench/summary
    answer_times+=("$(since "$start" 1000)")
done
established=$(grep -c Established /run/bench/summary || true)
[ "$established" -ge "$count" ] || { echo "error: ctl shows $established of $count sessions" >&2; exit 1; }
rdsup_down

# A list as long as those of routing registries, shared by two neighbors on an interface where nobody answers.
patterns=1000000
list=/run/bench/irr.txt
long=/run/bench/irr.toml
awk -v n="$patterns" 'BEGIN { for (i = 0; i < n; i++) printf "%d.%d.%d.0/24\n", 11 + i / 65536, i / 256 % 256, i % 256 }' >"$list"
{
    printf '[prefixes]\nirr = { file = "%s" }\n' "$list"
    printf '[domain.edge]\nasn = 65001\nfamilies = ["ipv4"]\nloopback = ["198.51.100.1/32"]\n'
    printf '[[domain.edge.interface]]\nname = "up0"\naddress = ["203.0.113.2/30", "203.0.113.6/30"]\n'
    for address in 1 5; do
        printf '[[domain.edge.neighbor]]\nname = "n%d"\naddress = "203.0.113.%d"\nasn = 64510\n' "$address" "$address"
        printf 'routes = ["@irr"]\n'
    done
} >"$long"
ip link add up0 type veth peer name nobody
start=$(now)
"$rdsup" -q -c "$long" render --out /run/bench/rendered
render_time=$(since "$start")
start=$(now)
bird -p -c /run/bench/rendered/edge/bird.conf
load_time=$(since "$start")
start=$(now)
"$rdsup" -q -c "$long" start --detach >/dev/null
start_time=$(since "$start")
long_resident=$(awk '$1 == "VmRSS:" { printf "%.1f\n", $2 / 1024 }' "/proc/$(pgrep -xo rdsup)/status")
bird_resident=$(awk '$1 == "VmRSS:" { printf "%.1f\n", $2 / 1024 }' "/proc/$(pgrep -xo bird)/status")
"$rdsup" -q -c "$long" stop >/dev/null

loop=$(printf '%s\n' "${loop_times[@]}" | median)
own=$(printf '%s\n' "${rdsup_times[@]}" | median)
answer=$(printf '%s\n' "${answer_times[@]}" | median)
ratio=$(awk -v a="$own" -v b="$loop" 'BEGIN { printf "%.2f\n", a / b }')

echo
row "hub and $count leaves, medians of $rounds rounds in turns" measured target ""
row "shell loop, to all sessions and the last route" "$loop s" "" ""
row "rdsup start, checks and filters included, to the same" "$own s" "" ""
judged "ratio rdsup / shell loop" "$ratio" 0.75 ""
judged "rdsup ctl hub show bgp summary, whole process (of 20)" "$answer" 15 " ms"
judged "supervisor, resident memory" "$resident" 25 " MB"
echo
row "a list of $patterns prefixes in a file, used by two neighbors" measured target ""
judged "rdsup render" "$render_time" 3 " s"
judged "bird -p" "$load_time" 3 " s"
judged "rdsup start, checks included" "$start_time" 6 " s"
row "supervisor, resident memory" "$long_resident MB" "" ""
row "its BIRD, resident memory" "$bird_resident MB" "" ""

# FRR becomes a user of its own, which a user namespace with one id does not have.
if [ -x /usr/lib/frr/bgpd ] && [ "$(awk 'NR == 1 { print $3 }' /proc/self/uid_map)" -gt 1 ]; then
    echo
    . "$here/daemons.sh"
fi
