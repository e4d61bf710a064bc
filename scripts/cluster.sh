#!/usr/bin/env bash
# Starts a cluster on this machine: three NATS servers, and three nodes of Everbeat on them, each with a page of its own. All
# of them end with this script (Ctrl-C). Their files stay in target/cluster, and the next start goes on with them.
# usage: scripts/cluster.sh [EVERBEAT OPTION...]     PORT=8080 for the first node's page; the others have the next ports,
#                                                    their status pages those from PORT+10 on
#                                                    EVERBEAT=/path/to/everbeat for another server than the one of `make build`
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/setup-lib.sh
. scripts/setup-lib.sh
export PATH="$cargo_bin:$PATH"

home=${CLUSTER_HOME:-target/cluster}
everbeat=${EVERBEAT:-${CARGO_TARGET_DIR:-target}/release/everbeat}
port=${PORT:-8080}
# The NATS servers' ports, next to each other: for clients, for each other, for monitoring.
nats_port=${NATS_PORT:-14222}
nodes=(a b c)

[ -x "$everbeat" ] || die "there is no server at $everbeat." "Run: make build"
has nats-server || die "there is no nats-server." "Run: scripts/nats.sh"
mkdir -p "$home"
home=$(cd "$home" && pwd)

client() { printf '127.0.0.1:%s' $((nats_port + $1)); }
route() { printf '127.0.0.1:%s' $((nats_port + 10 + $1)); }
monitor() { printf '127.0.0.1:%s' $((nats_port + 20 + $1)); }

nats=() everbeats=()
# Ctrl-C goes to all processes of the terminal's group: the NATS servers are not of it, so that the nodes can drain.
session=()
! has setsid || session=(setsid)
# The nodes first: they drain, for which they need the NATS servers.
stop_all() {
  trap - EXIT INT TERM
  [ ${#everbeats[@]} -eq 0 ] || kill "${everbeats[@]}" 2>/dev/null || true
  [ ${#everbeats[@]} -eq 0 ] || wait "${everbeats[@]}" || true
  [ ${#nats[@]} -eq 0 ] || kill "${nats[@]}" 2>/dev/null || true
  wait
}
trap stop_all EXIT
trap 'exit 0' INT TERM

for index in 0 1 2; do
  mkdir -p "$home/nats-$index"
  cat >"$home/nats-$index/nats.conf" <<CONF
server_name: nats-$index
listen: "$(client $index)"
http: "$(monitor $index)"
# Without "always" what is acknowledged can be lost with the power of a machine.
jetstream { store_dir: "$home/nats-$index", max_file: 4GB, sync_interval: always }
cluster { name: everbeat, listen: "$(route $index)", routes: ["nats://$(route 0)", "nats://$(route 1)", "nats://$(route 2)"] }
CONF
  ${session[@]+"${session[@]}"} nats-server -c "$home/nats-$index/nats.conf" >"$home/nats-$index.log" 2>&1 </dev/null &
  nats+=($!)
done

# All nodes know each other's guests by one key, and each other by one secret.
[ -e "$home/guests.key" ] || (umask 077 && head -c 32 /dev/urandom >"$home/guests.key")
[ -e "$home/peers.secret" ] || (umask 077 && head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$home/peers.secret")

# each FORMAT FIRST: a list with the ports of the three nodes, FIRST and the next ones.
# shellcheck disable=SC2059
each() { printf "$1,$1,$1" "$2" $(($2 + 1)) $(($2 + 2)); }
# The same options for all nodes.
options=(
  --engine "nats://$(client 0),$(client 1),$(client 2)"
  --nats-monitor "http://$(monitor 0),http://$(monitor 1),http://$(monitor 2)"
  --addresses "$(each ws://127.0.0.1:%s/ws "$port")"
  --allowed-origins "$(each http://127.0.0.1:%s "$port")"
  --guest-key-file "$home/guests.key"
  --peers "$(each http://127.0.0.1:%s $((port + 20)))"
  --peer-secret-file "$home/peers.secret"
)

for index in 0 1 2; do
  node=${nodes[index]}
  "$everbeat" --node "$node" --data "$home/node-$node" --listen "127.0.0.1:$((port + index))" \
    --advertise "http://127.0.0.1:$((port + index))" --admin "127.0.0.1:$((port + 10 + index))" \
    --peer-listen "127.0.0.1:$((port + 20 + index))" "${options[@]}" "$@" >"$home/node-$node.log" 2>&1 </dev/null &
  everbeats+=($!)
done

# A node is ready once it has found the stream, or made it, and folded what is there.
for index in 0 1 2; do
  for _ in $(seq 600); do
    [ "$(curl -s -o "$home/ready" -w '%{http_code}' "http://127.0.0.1:$((port + index))/readyz" || true)" != 200 ] || break
    kill -0 "${everbeats[index]}" 2>/dev/null || break
    sleep 0.1
  done
  kill -0 "${everbeats[index]}" 2>/dev/null || {
    tail -n 5 "$home/node-${nodes[index]}.log" >&2
    die "node ${nodes[index]} did not start: see $home/node-${nodes[index]}.log"
  }
  printf '%s\n' "node ${nodes[index]}: http://127.0.0.1:$((port + index))  (status: http://127.0.0.1:$((port + 10 + index))/status, process ${everbeats[index]})"
done
printf '%s\n' "NATS: nats://$(client 0),$(client 1),$(client 2)  (processes ${nats[*]}); files: $home"
printf '%s\n' "Kill any of these processes and watch the pages; Ctrl-C ends all"
wait
