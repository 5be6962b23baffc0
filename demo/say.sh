# What the demonstration's scripts share: how they speak, and how they fail. Sourced, not run.

bold=
normal=
if [ -t 1 ]; then
    bold=$'\e[1m'
    normal=$'\e[0m'
fi

# A headline.
say() { printf '\n%s== %s ==%s\n' "$bold" "$*" "$normal"; }

# The command that is run next, as a user types it.
told() { printf '%s$ %s%s\n' "$bold" "$*" "$normal"; }

# Runs a command and shows it with what it prints.
show() {
    told "$*"
    "$@"
}

# What was hoped for was seen.
seen() { printf '   ok: %s\n' "$*"; }

# The demonstration ends here, and has failed.
failed() {
    printf '   FAILED: %s\n' "$*" >&2
    exit 1
}

# expect WHAT COMMAND…: the command succeeds.
expect() {
    local what=$1
    shift
    if "$@"; then seen "$what"; else failed "$what"; fi
}

# eventually SECONDS WHAT COMMAND…: the command succeeds before the time is over.
eventually() {
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || failed "$what"
        sleep 0.05
    done
    seen "$what"
}

# Whether no process lives in a namespace that is listed in a file. Processes of other users cannot be looked at, and
# none of them was started here.
no_process_left() {
    ! readlink /proc/[0-9]*/ns/pid /proc/[0-9]*/ns/net 2>/dev/null | grep -qFxf "$1"
}
