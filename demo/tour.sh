#!/bin/bash
# The demonstration, from inside the lab: conf/demo.toml runs here, in namespaces that vanish with this script.
# Notes its namespaces in the file $1, so that demo/run.sh can look for what is left of them.
set -eu
cd "$(dirname "$0")/.."
. demo/say.sh
PATH=$PATH:/usr/sbin:/sbin
export RDSUP_CONFIG=${RDSUP_CONFIG:-conf/demo.toml}
rdsup() { "$RDSUP" "$@"; }
birdc() { command birdc -s "/run/rdsup/$1/bird.ctl" "${@:2}"; }
vtysh() { command vtysh --vty_socket "/run/rdsup/$1/frr" --config_dir "/run/rdsup/$1" -c "${*:2}"; }
# Asked with the daemons' own tools, which find everything where they look for it.
ends() { if [ -S "/run/rdsup/$1/frr/bgpd.vty" ]; then vtysh "$1" show bgp neighbors; else birdc "$1" show protocols; fi; }

readlink /proc/self/ns/pid /proc/self/ns/net >"${1:-/dev/null}"
for name in /run/netns/*; do
    # As readlink prints it for a process: net:[4026532000].
    printf 'net:[%s]\n' "$(stat -L -c %i "$name")" >>"${1:-/dev/null}"
done

say "Three routing domains, each with its own routing daemon, every session Established"
rdsup status --wait 30s >/dev/null || failed "not every session is established: $(rdsup status 2>&1)"
show rdsup status
sessions=$(for domain in internet private hostile; do ends "$domain"; done | grep -c 'BGP.*Established')
expect "4 ends of 2 sessions are established ($sessions seen)" test "$sessions" = 4
expect "they are namespaces like any other: ip netns list" test "$(ip netns list | grep -cE '^(internet|private|hostile)\b')" = 3

say "Ask a domain's routing daemon"
show rdsup ctl private show bgp
table=$(rdsup ctl private show bgp)
expect "private has learned internet's IPv4 network" grep -q '198\.51\.100\.0/24' <<<"$table"
expect "private has learned internet's IPv6 network" grep -q '2001:db8:1::/48' <<<"$table"
lacks() { ! grep -qF "$1" <<<"$table"; }
expect "nothing of hostile, to which it has no link" lacks 10.66.
expect "nothing of hostile's IPv6 network either" lacks 2001:db8:66:

say "What may cross between whom, and which line of the file says so"
show rdsup policy
told "rdsup policy hostile internet icmp"
if answer=$(rdsup policy hostile internet icmp); then failed "policy says that hostile may ping internet"; fi
printf '%s\n' "$answer"
expect "it names the line that decides" grep -qE 'demo\.toml:[0-9]+: packets' <<<"$answer"

say "A ping that policy allows arrives"
show rdsup exec private -- ping -n -c 2 -i 0.2 -W 1 198.51.100.1
show rdsup exec private -- ping -n -c 1 -W 1 2001:db8:1::1
seen "private reaches internet over IPv4 and IPv6"

say "One that it forbids is dropped, and counted"
# All named counters of internet's table as `name packets`, in one line each.
counters() {
    ip netns exec internet nft list counters table inet rdsup |
        awk '$1 == "counter" { name = $2 } $1 == "packets" { print name, $2 }'
}
before=$(counters)
told "rdsup exec hostile -- ping -n -c 3 -i 0.2 -W 1 198.51.100.1"
if rdsup exec hostile -- ping -n -c 3 -i 0.2 -W 1 198.51.100.1; then failed "the forbidden ping arrived"; fi
seen "no answer"
after=$(counters)
told "ip netns exec internet nft list counters table inet rdsup"
risen=$(comm -13 <(sort <<<"$before") <(sort <<<"$after") | grep hostile || true)
[ -n "$risen" ] || failed "no counter of the link to hostile has risen:
$after"
printf '%s\n' "$risen" | while read -r name packets; do
    seen "counter $name: $(awk -v name="$name" '$1 == name { print $2 }' <<<"$before") before, $packets after"
done

say "A routing daemon is killed with -9, and a ping through it goes on"
# The process that is called bird and lives in the namespace.
daemon_of() { ps -o pid=,comm= -p "$(ip netns pids "$1" | paste -sd,)" | awk '$2 == "bird" { print $1 }'; }
old=$(daemon_of internet)
[ -n "$old" ] || failed "internet has no BIRD"
rdsup exec private -- ping -n -q -i 0.01 -c 300 -W 1 198.51.100.1 >/run/ping.txt 2>&1 &
ping=$!
show kill -9 "$old"
new_daemon() { new=$(daemon_of internet 2>/dev/null) && [ -n "$new" ] && [ "$new" != "$old" ]; }
eventually 20 "the supervisor has started another one" new_daemon
all_up() { [ "$(birdc internet show protocols 2>/dev/null | grep -c 'BGP.*Established')" = 2 ]; }
eventually 30 "both its sessions are established again" all_up
wait "$ping" || failed "the ping was interrupted: $(cat /run/ping.txt)"
tail -n 2 /run/ping.txt
expect "of 300 packets, one each 10 ms, none was lost" grep -q '300 received, 0% packet loss' /run/ping.txt

say "The plan once more: everything is as the file says"
show rdsup plan
expect "there is nothing to do" grep -qi 'nothing to do' <<<"$(rdsup plan)"
