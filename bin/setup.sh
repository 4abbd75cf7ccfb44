# Sourced by bin/taskmaster and bin/test, which set $root. Keeps .venv equal to a lock.
# shellcheck shell=sh disable=SC2154
#
# set_up run|dev: make or mend .venv, if the lock it was made from is not the one in
# requirements/. The lock is kept in .venv as a copy, written last, so that an interrupted
# set-up is done again. All output goes to stderr. When nothing changed it costs one cmp.

venv=$root/.venv
python=$venv/bin/python
guard=$root/.venv.lock # a directory: mkdir is atomic everywhere
guard_wait_s=900
report=

say() { printf 'taskmaster: %s\n' "$*" >&2; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

set_up() {
    wanted=$1
    # The dev lock holds all of the run lock: do not take away what the tests put in.
    [ ! -e "$venv/dev.lock" ] || wanted=dev
    is_set_up || (make_venv) || exit $?
}

is_set_up() {
    [ -x "$python" ] && cmp -s "$root/requirements/$wanted.txt" "$venv/$wanted.lock"
}

make_venv() {
    [ -w "$root" ] || die "cannot write to $root: make it writable once, to set up .venv"
    trap 'leave' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    enter
    if is_set_up; then return; fi # another first start did it while we waited

    report=$root/.venv.log
    : >"$report"
    rm -f "$venv"/*.lock
    has_python || make_python
    say "installing requirements/$wanted.txt"
    install || die "installing requirements/$wanted.txt failed: $(last_error);" \
        "check the network and the package index that pip is set to, then start again" \
        "(all of it: $report)"
    { cp "$root/requirements/$wanted.txt" "$venv/lock.new" &&
        mv "$venv/lock.new" "$venv/$wanted.lock"; } ||
        die "cannot write to $venv: see whether the disk is full, then start again"
    rm -f "$report"
    say "ready"
}

# --- Python ---------------------------------------------------------------------------------

has_python() {
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null &&
        { "$python" -m pip --version >/dev/null 2>&1 || command -v uv >/dev/null; }
}

make_python() {
    found=
    for name in python3.13 python3.12 python3.11 python3; do
        "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        found=${found:-$name}
        if "$name" -c 'import ensurepip, venv' 2>/dev/null; then
            say "making .venv with $("$name" --version)"
            "$name" -m venv --clear "$venv" >>"$report" 2>&1 ||
                die "$name -m venv failed: $(last_error); see $report"
            return
        fi
    done
    [ -n "$found" ] ||
        die "no Python 3.11 or newer on PATH: install one (Debian: apt-get install python3-venv)"
    command -v uv >/dev/null ||
        die "$found cannot make virtual environments: install python3-venv (Debian:" \
            "apt-get install python3-venv) or put uv on PATH"
    say "making .venv with $("$found" --version) and the uv on PATH"
    uv venv --quiet --clear --python "$found" "$venv" >>"$report" 2>&1 ||
        die "uv venv failed: $(last_error); see $report"
}

# --- Packages -------------------------------------------------------------------------------

install() {
    uv=
    if "$python" -m pip --version >/dev/null 2>&1; then
        pip_install --only-binary :all: -r "$root/requirements/uv.txt" && uv=$venv/bin/uv
    else
        uv=$(command -v uv)
    fi
    if [ -n "$uv" ] && uv_sync; then return; fi
    # No wheel of uv for this platform, or uv does not get through where pip does.
    "$python" -m pip --version >/dev/null 2>&1 || return 1
    say "uv is of no use here, installing with pip"
    pip_install -r "$root/requirements/$wanted.txt"
}

pip_install() {
    "$python" -m pip install --quiet --disable-pip-version-check --retries 2 \
        --require-hashes "$@" >>"$report" 2>&1
}

uv_sync() {
    # An index that only pip was told of is the right one for uv too.
    index=${UV_DEFAULT_INDEX:-${UV_INDEX_URL:-${PIP_INDEX_URL:-}}}
    [ -n "$index" ] || index=$("$python" -m pip config get global.index-url 2>/dev/null) || index=
    (
        [ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
        "$uv" pip sync --quiet --require-hashes --python "$python" \
            "$root/requirements/$wanted.txt" >>"$report" 2>&1
    )
}

last_error() { grep . "$report" | tail -n 1; }

# --- What the tests meet for real --------------------------------------------------------------

# Erlang's supervisor is the reference of ours; bash, zsh and fish are completed in. They are asked
# for once, where that needs no password and no patience; without them the tests replay what OTP 25
# did, and say which shells they passed over.
want_peers() {
    missing=$(missing_peers)
    if [ -z "$missing" ] || ! mkdir "$venv/peers.asked" 2>/dev/null; then return; fi
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        say "installing$missing: the tests want them"
        # shellcheck disable=SC2086  # a list of packages
        install_peers $missing >"$venv/peers.asked/log" 2>&1 || true
    fi
    missing=$(missing_peers)
    [ -z "$missing" ] || say "no$missing here: the tests that want them do without"
}

missing_peers() {
    { command -v erl && command -v erlc; } >/dev/null || printf ' erlang-base'
    command -v bash >/dev/null || printf ' bash'
    command -v zsh >/dev/null || printf ' zsh'
    command -v fish >/dev/null || printf ' fish'
}

install_peers() {
    # Only what waits for the network is cut off: a package is never left half unpacked.
    DEBIAN_FRONTEND=noninteractive
    export DEBIAN_FRONTEND
    fetch_peers "$@" || { timeout 60 apt-get update -qq && fetch_peers "$@"; } &&
        apt-get install -y -qq --no-install-recommends --no-download \
            -o DPkg::Lock::Timeout=20 "$@"
}

fetch_peers() {
    timeout 60 apt-get install -y -qq --no-install-recommends --download-only \
        -o DPkg::Lock::Timeout=20 "$@"
}

# --- One set-up at a time -------------------------------------------------------------------

enter() {
    waited_s=0
    until mkdir "$guard" 2>/dev/null; do
        if is_left_over; then
            remove_left_over
            continue
        fi
        [ "$waited_s" -gt 0 ] || say "waiting for another set-up (process $(holder))"
        [ "$waited_s" -lt "$guard_wait_s" ] ||
            die "another set-up took over $guard_wait_s s: if none is running, remove $guard"
        sleep 1
        waited_s=$((waited_s + 1))
    done
    sh -c 'echo "$PPID"' >"$guard/pid"
    entered=yes
}

leave() {
    [ -z "${entered:-}" ] || rm -rf "$guard"
}

holder() { cat "$guard/pid" 2>/dev/null || echo unknown; }

# Its process is gone, or it was killed between mkdir and writing its pid.
is_left_over() {
    pid=$(holder)
    if [ "$pid" = unknown ] || [ -z "$pid" ]; then
        [ "$waited_s" -ge 5 ]
    else
        ! kill -0 "$pid" 2>/dev/null && [ ! -d "/proc/$pid" ]
    fi
}

# Two that wait may both see it left over: only one removes it, after looking once more.
remove_left_over() {
    if mkdir "$guard.remove" 2>/dev/null; then
        if is_left_over; then rm -rf "$guard"; fi
        rmdir "$guard.remove"
    else
        sleep 1
        waited_s=$((waited_s + 1))
    fi
}
