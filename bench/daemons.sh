# BIRD and FRR side by side: the same hub with a few leaves, all of one daemon, in turns. Read by run.sh, inside its machine.
leaves=10
turns=3

network_up() {
    "$rdsup" -q -c "$1" start --detach --wait >/dev/null
    until [ "$(ip -n hub route show | grep -c '^10\..* proto b')" -ge "$leaves" ]; do sleep 0.01; done
    until ip -n "leaf-$leaves" route show | grep -q '^198\.51\.100\.0/24 .*proto b'; do sleep 0.01; done
}

# The memory of what runs in a leaf's namespace, in MB; what processes share is shared out among them.
leaf_memory() {
    local pid
    for pid in $(ip netns pids leaf-1); do
        cat "/proc/$pid/smaps_rollup"
    done | awk '$1 == "Pss:" { all += $2 } END { printf "%.1f\n", all / 1024 }'
}

# Since when each session is established, by domain and name.
established() {
    "$rdsup" -c "$1" status --json |
        perl -MJSON::PP -e 'my $s = decode_json(join "", <STDIN>);
            print join("\n", map { my $d = $_; map { "$d->{name} $_->{name} " . ($_->{state} eq "Established" ? $_->{since} : "down") } @{$d->{sessions}} } @{$s->{domains}}), "\n"'
}

declare -A up ctl change memory resets
for daemon in bird frr; do
    settings=$(printf '[rdsup]\ndaemon = "%s"\n.' "$daemon")
    settings=${settings%.}
    hub "$leaves" >"/run/bench/$daemon.toml"
    # Another preference of what each leaf learns: policy of every session, and nothing else.
    sed 's/^\(routes = \["198.*\)/\1\npreference = 150/' "/run/bench/$daemon.toml" >"/run/bench/$daemon-2.toml"
    up[$daemon]='' ctl[$daemon]='' change[$daemon]='' memory[$daemon]='' resets[$daemon]=0
done
for ((turn = 1; turn <= turns; turn++)); do
    for daemon in bird frr; do
        file=/run/bench/$daemon.toml
        start=$(now)
        network_up "$file"
        up[$daemon]+="$(since "$start") "
        memory[$daemon]+="$(leaf_memory) "
        for _ in {1..10}; do
            start=$(now)
            "$rdsup" -c "$file" ctl hub show bgp summary >/run/bench/summary
            ctl[$daemon]+="$(since "$start" 1000) "
        done
        # The second in which the last one came up is over: one that is reset from now on has another.
        sleep 1.1
        established "$file" >/run/bench/before
        start=$(now)
        "$rdsup" -q -c "$file" apply "/run/bench/$daemon-2.toml" >/dev/null
        change[$daemon]+="$(since "$start" 1000) "
        sleep 1.1
        established "$file" >/run/bench/after
        resets[$daemon]=$((resets[$daemon] + $(diff /run/bench/before /run/bench/after | grep -c '^>' || true)))
        "$rdsup" -q -c "$file" stop >/dev/null
    done
done

of() { tr ' ' '\n' <<<"$1" | grep . | median; }
# beside WHAT UNIT BIRD FRR
beside() { row "$1" "$3$2" "$4$2" "$(awk -v a="$4" -v b="$3" 'BEGIN { if (b > 0) printf "%.2f", a / b }')"; }
row "hub and $leaves leaves, medians of $turns rounds in turns" BIRD FRR "ratio FRR / BIRD"
beside "rdsup start, to all sessions and the last route" " s" "$(of "${up[bird]}")" "$(of "${up[frr]}")"
beside "memory of a leaf's daemons" " MB" "$(of "${memory[bird]}")" "$(of "${memory[frr]}")"
beside "rdsup ctl hub show bgp summary, whole process" " ms" "$(of "${ctl[bird]}")" "$(of "${ctl[frr]}")"
beside "another policy on all $((2 * leaves)) ends, apply, whole process" " ms" "$(of "${change[bird]}")" "$(of "${change[frr]}")"
beside "sessions that it reset, in all rounds" "" "${resets[bird]}" "${resets[frr]}"
judged "rdsup ctl hub show bgp summary with FRR" "$(of "${ctl[frr]}")" 15 " ms"
judged "sessions of FRR that another policy reset" "${resets[frr]}" 0 ""
