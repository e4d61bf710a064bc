# shellcheck shell=bash
# Starts a server for the tests of a script. Sourced, after setup-lib.sh.

server_pid=
stop_server() {
  [ -n "$server_pid" ] || return 0
  kill "$server_pid" 2>/dev/null || true
  wait "$server_pid" || true
  server_pid=
}

# start_server EVERBEAT HOME [OPTION...]: on a port that was free ($address), with a temporary log, and with its journal
# in HOME/server.log.
start_server() {
  local everbeat=$1 home=$2 log=$2/server.log
  shift 2
  [ -x "$everbeat" ] || die "there is no server at $everbeat." "Run: make build"
  rm -rf "$home/data"
  : >"$log"
  NO_COLOR=1 "$everbeat" --listen 127.0.0.1:0 --admin off --data "$home/data" "$@" >"$log" 2>&1 &
  server_pid=$!
  trap stop_server EXIT
  for _ in $(seq 100); do
    address=$(sed -nE 's|.*serving on http://([0-9.:]+).*|\1|p' "$log")
    [ -z "$address" ] || return 0
    kill -0 "$server_pid" 2>/dev/null || break
    sleep 0.1
  done
  tail -n 5 "$log" >&2
  die "the server did not start."
}
