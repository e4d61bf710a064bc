#!/usr/bin/env bash
# Starts a server to experiment with: its pages may kill, drain and stall it (--lab), this script starts it again, and its
# heartbeat is quick enough to watch: it asks after 6 s of silence, and an answer may take 2 s. Ends with Ctrl-C.
# usage: scripts/lab.sh [EVERBEAT OPTION...]     EVERBEAT=/path/to/everbeat for another server than the one of `make build`
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/setup-lib.sh
. scripts/setup-lib.sh

everbeat=${EVERBEAT:-${CARGO_TARGET_DIR:-target}/release/everbeat}
home=${LAB_HOME:-target/lab}
# A server that ends so soon after its start did not serve: it would end again.
least_s=1
# The exit code of a server that ends until an operator has acted (server/src/lib.rs, `Stopped`).
stopped=78

[ -x "$everbeat" ] || die "there is no server at $everbeat." "Run: make build"
mkdir -p "$home"

server=
is_over=
# Ctrl-C goes to the server, too, which drains: this script waits for that.
stop() {
  is_over=1
  [ -z "$server" ] || kill -TERM "$server" 2>/dev/null || true
}
trap stop INT TERM

while [ -z "$is_over" ]; do
  begun=$SECONDS
  "$everbeat" --lab --data "$home" --heartbeat-interval 6s --heartbeat-timeout 2s "$@" &
  server=$!
  code=0
  wait "$server" || code=$?
  # A signal ends the wait, not the server.
  while kill -0 "$server" 2>/dev/null; do
    code=0
    wait "$server" || code=$?
  done
  server=
  [ -z "$is_over" ] || break
  if [ "$code" = "$stopped" ] || { [ "$code" = 1 ] && [ $((SECONDS - begun)) -le $least_s ]; }; then
    die "the server does not start: it ended with the code $code."
  fi
  printf '%s\n' "the server ended with the code $code: it is started again" >&2
done
