# $1: a directory with what the daemons read; $2: the daemon of `middle`; $3: to look after so many seconds, or `-` for when
# all has arrived. Runs as init of namespaces of its own.
at=$1 daemon=$2
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/tmp
mount -t tmpfs tmpfs /etc/frr
touch /etc/frr/vtysh.conf
mkdir /var/tmp/frr /run/frr /run/netns
# FRR wants a user and two groups of its own; here they are root's, the only ones of a user namespace.
{ grep -v ^frr: /etc/passwd; echo frr:x:0:0::/:/bin/sh; } >/var/tmp/passwd
{ grep -v ^frr /etc/group; echo frr:x:0:; echo frrvty:x:0:; } >/var/tmp/group
mount --bind /var/tmp/passwd /etc/passwd
mount --bind /var/tmp/group /etc/group

in_middle() { ip netns exec middle "$@"; }

for name in middle left right stub one two inner; do
    ip netns add "$name"
    ip -n "$name" link set lo up
done
connect() { # INTERFACE NAMESPACE ADDRESS…
    ip -n middle link add "$1" type veth peer name wire netns "$2"
    ip -n middle link set "$1" addrgenmode none up
    ip -n "$2" link set wire addrgenmode none up
    for address in "${@:3}"; do ip -n "$2" address add "$address" dev wire nodad; done
}
connect rd-left left fe80::3e9:0:1/64 fd72:6473:7570::3e9:0:0/127
connect rd-right right fe80::3eb:0:1/64 2001:db8:fe::1/126 169.254.7.1/30
connect rd-stub stub
connect wan0 one 203.0.113.1/24 2001:db8:ff::1/64
connect wan1 two 192.0.2.1/24
connect lan0 inner 10.50.3.9/24
ip -n two address add 198.51.100.9/32 dev lo
. "$at/addresses.sh"
# As every interface has one by itself: FRR brings no IPv6 session up without.
for dev in wan0 wan1 lan0; do in_middle ip address add fe80::2/64 dev "$dev" nodad; done

case $daemon in
bird) in_middle bird -f -c "$at/daemon.conf" -s /run/middle.ctl -P /run/middle.pid & ;;
frr)
    # From 10.0 on zebra is told by mgmtd what it is to do, which reads no other directory.
    if [ -e "$at/mgmtd.conf" ]; then
        cp "$at/mgmtd.conf" /etc/frr/
        mkdir /run/frr/middle
        chown frr:frr /run/frr /run/frr/middle
        in_middle /usr/lib/frr/mgmtd -N middle -P 0 --limit-fds 1024 --log "file:$at/mgmtd.log" &
        until [ -S /run/frr/middle/mgmtd_be.sock ]; do sleep 0.05; done
    fi
    in_middle /usr/lib/frr/zebra -N middle -P 0 -s 90000000 --limit-fds 1024 -f "$at/zebra.conf" --log "file:$at/zebra.log" &
    until [ -S /run/frr/middle/zserv.api ]; do sleep 0.05; done
    in_middle /usr/lib/frr/bgpd -N middle -P 0 --limit-fds 1024 -f "$at/daemon.conf" --log "file:$at/bgpd.log" &
    ;;
esac
# `far` is behind `two`: a second BIRD there, because one has a neighbor only once.
for name in left right two far inner; do
    ip netns exec "${name/far/two}" bird -f -c "$at/$name.conf" -s "/run/$name.ctl" -P "/run/$name.pid" 2>"$at/$name.log" &
done
ip netns exec one env exabgp.daemon.user=root exabgp.api.cli=false exabgp.log.level=WARNING exabgp.daemon.drop=false \
    exabgp "$at/one.conf" >"$at/exabgp.log" 2>&1 &

# What there is, in sections that begin with `== WHAT WHO FAMILY`.
look() {
    for session in rd_left:fd72:6473:7570::3e9:0:0 rd_right:2001:db8:fe::1 ext_one:203.0.113.1 ext_six:2001:db8:ff::1 ext_two:192.0.2.1 \
        ext_far:198.51.100.9 ext_inner:10.50.3.9; do
        for family in ipv4 ipv6; do
            echo "== accepted ${session%%:*} $family"
            case $daemon in
            bird) birdc -r -s /run/middle.ctl show route all protocol "${session%%:*}" table "master${family#ipv}" ;;
            frr) vtysh -N middle -d bgpd -c "show bgp $family unicast neighbors ${session#*:} routes json" ;;
            esac
        done
    done
    for sink in left:left:4 left:left:6 right:right:4 right:right:6 two:two:4 far:far:4 inner:inner:4; do
        IFS=: read -r where protocol digit <<<"$sink"
        echo "== announced $protocol ipv$digit"
        birdc -r -s "/run/$where.ctl" show route all protocol "$protocol" table "$protocol$digit"
    done
    for digit in 4 6; do
        echo "== kernel - ipv$digit"
        in_middle ip "-$digit" -o route show proto "${daemon/frr/bgp}"
    done
}
arrived() {
    for prefix in 10.51.250.0/24 2001:db8:51:fa::/64 60.250.0.0/16 2a0a:fa::/32 40.250.0.0/16 2a00:fa::/32 20.250.0.0/16 30.250.0.0/16 \
        10.50.3.128/25; do
        grep -q "$prefix" <<<"$1" || return 1
    done
    # To each it announces its network.
    [ "$(sed -n '/== announced/,$p' <<<"$1" | grep -c '^10.50.0.0/16 .*\[')" = 5 ]
}
before=
for second in $(seq 60); do
    sleep 1
    now=$(look 2>/dev/null | sed 's/^BIRD .* ready\.$//')
    # Metrics and ages apart, nothing changes any more.
    same=$(sed 's/[0-9][0-9]:[0-9][0-9]:[0-9.]*//g' <<<"$now")
    if [ "$3" = - ] && arrived "$now" && [ "$same" = "$before" ]; then
        echo "$now"
        exit 0
    fi
    if [ "$second" = "$3" ]; then
        echo "$now"
        exit 0
    fi
    before=$same
done
echo "$now"
tail -n 15 "$at"/*.log "$at"/middle/log/*
exit 1
