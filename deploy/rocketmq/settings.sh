# Read by up, down, status and admin: where things are, and what a data folder was started with.
# shellcheck shell=bash disable=SC2034

HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/tidegate/rocketmq"
DATA="${XDG_DATA_HOME:-$HOME/.local/share}/tidegate/rocketmq"
CLUSTER=DefaultCluster

# Of the server that runs here: 5.5.0, or 4.9.7.
jars() { [ "$VERSION" = 5.5.0 ] && echo "$CACHE/server" || echo "$CACHE/server-$VERSION"; }
pom() { [ "$VERSION" = 5.5.0 ] && echo "$HERE/server/pom.xml" || echo "$HERE/server/pom-4.9.xml"; }

# What `up` remembers in DATA/settings, so that every later command of that folder needs only `--data`.
ADDRESS=127.0.0.1 NAME_SERVER_PORT=9876 BROKER_PORT=10911
PROXY=no GRPC_PORT=8081 PROXY_PORT=8080
TLS=no CLIENT_CERTIFICATE=no USERS=no USER_NAME=tidegate FLUSH=ASYNC_FLUSH AUTO_CREATE=no HEAP=1g
VERSION=5.5.0 ADVERTISED=
SETTINGS='ADDRESS NAME_SERVER_PORT BROKER_PORT PROXY GRPC_PORT PROXY_PORT TLS CLIENT_CERTIFICATE USERS USER_NAME FLUSH
AUTO_CREATE HEAP VERSION ADVERTISED'

say() { printf '%s\n' "$*"; }
fail() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

is_setting() { [[ " ${SETTINGS//$'\n'/ } " == *" $1 "* ]]; }

# Takes what DATA/settings says; a line that is none of ours is refused.
read_settings() {
    local name value
    [ -f "$DATA/settings" ] || return 0
    while IFS='=' read -r name value; do
        is_setting "$name" || fail "$DATA/settings: unknown line $name=$value"
        printf -v "$name" '%s' "$value"
    done <"$DATA/settings"
}

write_settings() {
    local name
    for name in $SETTINGS; do printf '%s=%s\n' "$name" "${!name}"; done >"$DATA/settings.new"
    mv "$DATA/settings.new" "$DATA/settings"
}

# The folder of --data as a whole path: it marks the processes that belong to it.
use_data() { DATA="$(realpath -m -- "$1")"; }

# pid_of name-server|broker: prints the process id of that part when it runs. The id in the file alone is no proof:
# another process may have it by now.
pid_of() {
    local pid
    pid=$(cat "$DATA/run/$1.pid" 2>/dev/null) || return 1
    grep -qzxF -e "-Dtidegate.part=$1 $DATA" "/proc/$pid/cmdline" 2>/dev/null || return 1
    echo "$pid"
}

# Words for admin.py that reach the instance of this folder as its administrator.
connection() {
    printf '%s\n' --name-server "$ADDRESS:$NAME_SERVER_PORT"
    [ "$TLS" = no ] || printf '%s\n' --ca "$DATA/tls/ca.crt"
    [ "$CLIENT_CERTIFICATE" = no ] || printf '%s\n' --cert "$DATA/tls/client.crt" --key "$DATA/tls/client.key"
    [ "$USERS" = no ] || printf '%s\n' --user admin --secret-file "$DATA/secrets/admin"
}

administer() {
    local words
    mapfile -t words < <(connection)
    python3 "$HERE/admin.py" "${words[@]}" "$@"
}
