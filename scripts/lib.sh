# shellcheck shell=bash
# Shared by the scripts: output, installation of packages, and processes that end with the script.
# Source it after `set -euo pipefail`: the script goes on in the root of the repository, and was called in $caller.
# shellcheck disable=SC2034
caller=$PWD script=$(realpath "$0")
cd "$(dirname "$0")/.." || exit 3
# Variables that are set for another gateway must not apply here.
# shellcheck disable=SC2086
unset ${!LAUNCHGATE_@}

say() { printf '%s\n' "$*"; }

# die CODE TEXT
die() {
    printf '%s: %s\n' "${0##*/}" "$2" >&2
    exit "$1"
}

# help: prints the comment at the top of the script from its usage on, and ends it.
help() {
    sed -n '/^# Usage:/,/^[^#]/s/^# \{0,1\}//p' "$script"
    exit 0
}

# Every started program leads a process group of its own, so that its children end with it.
groups=()

# start COMMAND…: runs it in the background until the script ends; its process id is in $started.
start() {
    set -m
    "$@" < /dev/null &
    started=$!
    set +m
    groups+=("$started")
}

# run COMMAND…: starts it and waits; returns its exit code. Unlike a foreground command it can be interrupted at once.
run() {
    local code=0
    start "$@"
    wait "$started" || code=$?
    forget "$started"
    return "$code"
}

forget() {
    local group rest=()
    for group in ${groups[@]+"${groups[@]}"}; do
        [ "$group" = "$1" ] || rest+=("$group")
    done
    groups=(${rest[@]+"${rest[@]}"})
}

# end PID: terminates a group, and kills it after 5 s.
end() {
    local tries=100
    kill -TERM -- "-$1" 2> /dev/null || true
    while kill -0 -- "-$1" 2> /dev/null; do
        tries=$((tries - 1))
        if [ "$tries" = 0 ]; then
            kill -KILL -- "-$1" 2> /dev/null || true
            break
        fi
        sleep 0.05
    done
    wait "$1" 2> /dev/null || true
}

# Ends all started programs, the latest first.
end_all() {
    local i
    # A signal may have arrived between a start and its record.
    if [ -n "${!-}" ] && kill -0 -- "-$!" 2> /dev/null; then
        groups+=("$!")
    fi
    for ((i = ${#groups[@]} - 1; i >= 0; i--)); do
        end "${groups[i]}"
    done
    groups=()
}

# A folder of the script's own, removed at its end: see new_dir.
dir=''

# When the script ends, by itself or by a signal: ends all started programs, shows the ends of the logs after a failure, and
# keeps the exit code.
finish() {
    local code=$? log
    trap '' INT TERM HUP
    end_all
    if [ "$code" -ne 0 ] && [ "$code" -lt 128 ] && [ -n "$dir" ]; then
        for log in "$dir"/*.log; do
            [ ! -e "$log" ] || { say "--- the end of ${log##*/}" && tail -n 15 "$log"; } >&2
        done
    fi
    [ -z "$dir" ] || rm -rf -- "$dir"
    exit "$code"
}

trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# new_dir: makes a temporary folder for the script and its programs; it is in $dir.
new_dir() {
    dir=$(mktemp -d "${TMPDIR:-/tmp}/launchgate.XXXXXX") || die 3 "no temporary directory"
    # The kernel limits the length of a unix socket's path, which is in a subfolder.
    [ "${#dir}" -lt 80 ] || die 3 "the path of TMPDIR is too long for a socket: $dir"
    export TMPDIR=$dir
}

# need COMMAND=PACKAGE…: installs the packages of the commands that are missing.
need() {
    local pair missing=()
    for pair; do
        command -v "${pair%%=*}" > /dev/null || missing+=("${pair#*=}")
    done
    [ "${#missing[@]}" = 0 ] || install_packages "${missing[@]}"
}

# install_packages PACKAGE…: with apt-get.
install_packages() {
    local apt
    command -v apt-get > /dev/null ||
        die 3 "please install $*, or their equivalents: there is no apt-get"
    apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
    if [ "$(id -u)" != 0 ]; then
        command -v sudo > /dev/null || die 3 "please install $*: this is not root, and there is no sudo"
        apt=(sudo "${apt[@]}")
    fi
    say "installing $*"
    if ! { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "$@" > /dev/null; }; then
        die 3 "apt-get could not install $*"
    fi
}

need_rust() {
    command -v cargo > /dev/null || PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
    command -v cargo > /dev/null ||
        die 3 "please install Rust $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or later, with rustup"
}

need_redis() {
    need redis-server=redis-server
    local version
    version=$(redis-server --version | sed -n 's/.* v=\([0-9]*\)\..*/\1/p')
    [ "${version:-0}" -ge 7 ] || die 3 "expected Redis 7 or later, found: $(redis-server --version)"
}

# need_idle SERVICE… -- PROGRAM=PACKAGE…: like need, for services. Debian starts a service on installation: it is stopped
# again, because the scripts run private ones. Services that were installed before are left alone.
need_idle() {
    local service new=() stop=(service)
    while [ "$1" != -- ]; do
        command -v "$1" > /dev/null || new+=("$1")
        shift
    done
    shift
    need "$@"
    [ "$(id -u)" = 0 ] || stop=(sudo service)
    for service in ${new[@]+"${new[@]}"}; do
        "${stop[@]}" "$service" stop > /dev/null 2>&1 || true
        [ ! -d /run/systemd/system ] || "${stop[@]/service/systemctl}" disable "$service" > /dev/null 2>&1 || true
    done
}

# Prometheus with its tools, redis_exporter and Alertmanager.
need_prometheus() {
    need_idle prometheus prometheus-redis-exporter prometheus-alertmanager -- \
        prometheus=prometheus promtool=prometheus prometheus-redis-exporter=prometheus-redis-exporter \
        prometheus-alertmanager=prometheus-alertmanager amtool=prometheus-alertmanager
}

# The balancers of the tests that restart gateways.
need_balancers() {
    need_idle nginx haproxy -- nginx=nginx-light haproxy=haproxy
}

# The server of relay's tests. Debian's package would start a cluster of its own; the tests make theirs.
need_postgres() {
    local as=()
    ! compgen -G '/usr/lib/postgresql/*/bin/initdb' > /dev/null || return 0
    [ "$(id -u)" = 0 ] || as=(sudo)
    install_packages postgresql-common
    ${as[@]+"${as[@]}"} sed -i 's/^#\? *create_main_cluster.*/create_main_cluster = false/' \
        /etc/postgresql-common/createcluster.conf
    install_packages postgresql
}

# Cargo's target directory, by environment, configuration or default.
target_dir() { cargo metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'; }

# need_programs [FOLDER]: our programs, built on the dev profile if their folder is not given; it is in $bin.
need_programs() {
    bin=${1-$(target_dir)/debug}
    [ "$#" -gt 0 ] || run cargo build --locked --workspace --bins || die 3 "the build failed"
}

# need_optimised: the gateway, optimised as in what ships but for its link-time optimisation and with checks of overflows, in
# optimised/ under the target directory. All that it depends on is shared with the dev profile, and so is the place where cargo
# leaves the program until its next build.
need_optimised() {
    local target gateway=profile.dev.package.gateway
    target=$(target_dir)
    # By rustc: scripts/test builds all else with Clippy's driver.
    run env -u RUSTC_WORKSPACE_WRAPPER cargo build --locked --quiet --workspace --bin gateway \
        --config $gateway.opt-level=3 --config $gateway.debug-assertions=false --config $gateway.incremental=false ||
        die 3 "the build failed"
    mkdir -p "$target/optimised"
    # In one step: a test may be running the one before.
    cp "$target/debug/gateway" "$target/optimised/gateway.new" && mv "$target/optimised/gateway.new" "$target/optimised/gateway"
}

# need_python NAME REQUIREMENTS: a Python of its own under the target directory, rebuilt when the pinned versions change; it is in $venv.
need_python() {
    need python3=python3
    venv=$(target_dir)/tools/$1
    if ! cmp -s "$2" "$venv/requirements.txt"; then
        rm -rf "$venv"
        python3 -c 'import ensurepip' 2> /dev/null || install_packages python3-venv
        run python3 -m venv "$venv" || die 3 "python3 could not make $venv"
        run "$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r "$2" ||
            die 3 "pip could not install what $2 lists"
        cp "$2" "$venv/"
    fi
}

# need_npm FOLDER SOURCE: installs into FOLDER what the lock file in SOURCE lists, again when that changes.
need_npm() {
    need npm=npm
    if ! cmp -s "$2/package-lock.json" "$1/package-lock.json"; then
        mkdir -p "$1"
        cp "$2"/{package.json,package-lock.json,.npmrc} "$1"
        if ! (cd "$1" && npm ci --silent --ignore-scripts); then
            rm "$1/package-lock.json"
            die 3 "npm could not install what $2/package-lock.json lists"
        fi
    fi
}

# need_live charts|all: installs the chart library of the live page, or also its test tools, as in dashboards/live's lock
# file. Without npm the gateway is built without charts, and the page reports that.
need_live() {
    local page=dashboards/live what=$1 flags=(--omit=dev)
    local kept=$page/node_modules/.launchgate
    [ "$what" != all ] || flags=()
    # The full installation includes the charts.
    if cmp -s "$page/package-lock.json" "$kept-all" || cmp -s "$page/package-lock.json" "$kept-$what"; then
        return 0
    fi
    if ! command -v npm > /dev/null; then
        [ "$what" != all ] || die 3 "npm is needed"
        say "there is no npm: the live page will have no charts"
    elif ! (cd "$page" && npm ci --silent --ignore-scripts ${flags[@]+"${flags[@]}"}); then
        [ "$what" != all ] || die 3 "npm could not install what $page/package-lock.json lists"
        say "npm could not install uplot: the live page will have no charts"
    else
        cp "$page/package-lock.json" "$kept-$what"
    fi
}
