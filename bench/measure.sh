# What both benchmarks need: a network to measure, clocks, and rows of the table.

# A file with a hub and COUNT leaves; what stands in $settings comes first.
hub() {
    local i block network
    printf '%s' "${settings:-}"
    printf '[domain.hub]\nasn = 4200000000\nfamilies = ["ipv4"]\n'
    printf 'loopback = ["198.51.100.1/32"]\nnetworks = ["198.51.100.0/24"]\n'
    for ((i = 1; i <= $1; i++)); do
        block="10.$((i / 256)).$((i % 256))"
        network="$block.0/24"
        printf '[domain.leaf-%d]\nasn = %d\nfamilies = ["ipv4"]\n' "$i" $((4200000000 + i))
        printf 'loopback = ["%s.1/32"]\nnetworks = ["%s"]\n' "$block" "$network"
        printf '[[link]]\nbetween = ["hub", "leaf-%d"]\n' "$i"
        printf '[link.into.hub]\nroutes = ["%s"]\npackets = ["icmp"]\n' "$network"
        printf '[link.into.leaf-%d]\nroutes = ["198.51.100.0/24"]\npackets = ["icmp"]\n' "$i"
    done
}

now() { echo "$EPOCHREALTIME"; }
# Seconds or milliseconds since a moment, with two decimals.
since() { awk -v from="$1" -v to="$(now)" -v by="${2:-1}" 'BEGIN { printf "%.2f\n", (to - from) * by }'; }
median() { sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

row() { printf '%-58s %10s %10s   %s\n' "$@"; }
# judged WHAT VALUE LIMIT UNIT
judged() {
    row "$1" "$2$4" "$3$4" "$(awk -v a="$2" -v b="$3" 'BEGIN { print a <= b ? "met" : "MISSED" }')"
}
