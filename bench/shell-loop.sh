#!/bin/bash
# The comparison: a hub and N leaves as one builds them by hand, with `ip netns`, a shell loop and one BIRD for each
# namespace. No packet filter, no supervision. Run by bench/run.sh in a throwaway namespace.
# Usage: shell-loop.sh up N DIRECTORY | shell-loop.sh down DIRECTORY
set -eu

down() {
    local directory=$1 file name
    for file in "$directory"/*.pid; do
        if [ -f "$file" ]; then kill "$(cat "$file")" || true; fi
    done
    while pgrep -x bird >/dev/null; do sleep 0.05; done
    ip netns list | awk '$1 ~ /^loop-/ { print $1 }' | while read -r name; do ip netns delete "$name"; done
    rm -rf "$directory"
}

if [ "$1" = down ]; then
    down "$2"
    exit 0
fi
[ "$1" = up ]
count=$2
directory=$3
mkdir -p "$directory"
hub_asn=4200000000

# The i-th link is a /31: 169.254.high.low at the hub, one more at the leaf.
ip netns add loop-hub
ip -n loop-hub link set lo up
ip netns exec loop-hub sysctl -qw net.ipv4.ip_forward=1
for ((i = 1; i <= count; i++)); do
    high=$((i / 128)) low=$((i * 2 % 256))
    ip netns add "loop-$i"
    ip netns exec "loop-$i" sysctl -qw net.ipv4.ip_forward=1
    ip link add "leaf$i" netns loop-hub type veth peer name core netns "loop-$i"
    ip -n "loop-$i" link set lo up
    ip -n "loop-$i" addr add "169.254.$high.$((low + 1))/31" dev core
    ip -n "loop-$i" link set core up
    ip -n loop-hub addr add "169.254.$high.$low/31" dev "leaf$i"
    ip -n loop-hub link set "leaf$i" up
done

common='protocol device { } protocol kernel { ipv4 { export all; import none; }; }'
quick='connect delay time 1; connect retry time 1; error wait time 1,5; ipv4 { import all; export all; };'
{
    echo "router id 10.255.255.255; $common"
    echo 'protocol static { ipv4; route 198.51.100.0/24 blackhole; }'
    echo "template bgp leaf { local as $hub_asn; $quick }"
    for ((i = 1; i <= count; i++)); do
        echo "protocol bgp leaf$i from leaf {"
        echo "  neighbor 169.254.$((i / 128)).$((i * 2 % 256 + 1)) as $((hub_asn + i)); }"
    done
} >"$directory/loop-hub.conf"
for ((i = 1; i <= count; i++)); do
    {
        echo "router id 10.255.$((i / 256)).$((i % 256)); $common"
        echo "protocol static { ipv4; route 10.$((i / 256)).$((i % 256)).0/24 blackhole; }"
        echo "protocol bgp core { local as $((hub_asn + i));"
        echo "  neighbor 169.254.$((i / 128)).$((i * 2 % 256)) as $hub_asn; $quick }"
    } >"$directory/loop-$i.conf"
done

launch() { ip netns exec "$1" bird -c "$directory/$1.conf" -s "$directory/$1.ctl" -P "$directory/$1.pid"; }
launch loop-hub
for ((i = 1; i <= count; i++)); do launch "loop-$i"; done

until [ "$(birdc -s "$directory/loop-hub.ctl" show protocols | grep -c Established)" = "$count" ]; do sleep 0.05; done
until [ "$(ip -n "loop-$count" route show proto bird | wc -l)" -ge $((count + 1)) ]; do sleep 0.05; done
