#!/usr/bin/env bash
# Tests the HTTP API against its own document: schemathesis makes requests that /api/openapi.json allows, and others that
# it does not allow, and checks that the real server answers as the document says. It must find no difference.
# Its tools are installed into target/api-fuzz.
# usage: scripts/api-fuzz.sh [SCHEMATHESIS OPTION...]     EXAMPLES=1000 for more than 200 requests an operation
#                                                         EVERBEAT=/path/to/everbeat for another server than the one of `make build`
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/setup-lib.sh
. scripts/setup-lib.sh
# shellcheck source=scripts/server-lib.sh
. scripts/server-lib.sh

version=4.32.5
home=target/api-fuzz
everbeat=${EVERBEAT:-${CARGO_TARGET_DIR:-target}/release/everbeat}
examples=${EXAMPLES:-200}

setup_schemathesis() {
  local site=$home/python-$version
  schemathesis=$site/bin/schemathesis
  [ -e "$site/complete" ] && return
  # Debian packages Python's venv on its own.
  quietly python python3 -c 'import ensurepip, venv' || apt_need python "Python, in which schemathesis is written" python3 python3-venv
  version_ge "$(version_of python3 --version)" 3.10 ||
    die "schemathesis needs Python 3.10 or newer; here is $(version_of python3 --version)." "Install a newer one, then start again."
  say "installing schemathesis $version into $site (pip; under a minute)"
  rm -rf "$site"
  loud_on_failure python-venv python3 -m venv "$site" ||
    die "python3 cannot make a virtual environment." "On Debian: apt-get install python3-venv. Then start again."
  loud_on_failure schemathesis "$site/bin/pip" install --disable-pip-version-check "schemathesis==$version" ||
    die "schemathesis could not be installed." "Without a network this cannot go on; else please report the log."
  touch "$site/complete"
}

mkdir -p "$home" "$cache"
setup_schemathesis
head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$home/secret"
# The server's options: no limits on the rate of requests.
start_server "$everbeat" "$home" --token-keys "$home/secret" --publishes-per-person 0 --publishes-per-address 0
token=$(python3 scripts/api/token.py "$home/secret")
# The events' answer does not end, so it is left out; server/tests/it/events.rs tests it.
say "making requests (under a minute)"
(
  cd "$home"
  NO_COLOR=1 "../../$schemathesis" run "http://$address/api/openapi.json" \
    --header "Authorization: Bearer $token" --exclude-path '/api/rooms/{room}/events' \
    --checks all --max-examples "$examples" --request-timeout 10 --continue-on-failure "$@"
)
kill -0 "$server_pid" || die "the server did not outlive it."
if grep -qE 'panicked| ERROR ' "$home/server.log"; then
  grep -nE 'panicked| ERROR ' "$home/server.log" | head -n 5 >&2
  die "the server was in trouble: see $home/server.log"
fi
