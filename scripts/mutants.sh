#!/usr/bin/env bash
# Mutation tests: changes the core, the log and the rooms in small ways, one at a time, and lists the changes that no
# test notices.
# usage: scripts/mutants.sh [protocol|server] [ARGUMENT-OF-CARGO-MUTANTS ...]      without: both; an hour and a half
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# No debug information: it is not used, and takes half of the build time.
export CARGO_PROFILE_TEST_DEBUG=0 CARGO_PROFILE_DEV_DEBUG=0

command -v cargo-mutants >/dev/null || {
  echo "mutants: compiling cargo-mutants (about 3 min, once)"
  cargo install --locked --quiet cargo-mutants --version 27.1.0
}

# The rule tests and the unit tests; slow tests that prove nothing more about a line are left out.
protocol() {
  cargo mutants -p everbeat-protocol --output target/mutants/protocol --jobs 2 --minimum-test-timeout 30 \
    --cargo-test-arg=--lib --cargo-test-arg=--test=it "$@"
}

# The log and the rooms, against the unit tests: faults that only a killed server shows are not in one line.
server() {
  cargo mutants -p everbeat-axum --file 'crates/axum/src/log.rs' --file 'crates/axum/src/log/**' --file 'crates/axum/src/hub.rs' --file 'crates/axum/src/hub/**' \
    --output target/mutants/server --jobs 2 --minimum-test-timeout 30 --cargo-arg=--lib "$@"
}

mkdir -p target/mutants
case "${1-}" in
  protocol | server) "$@" ;;
  '') protocol && server ;;
  *) echo "usage: scripts/mutants.sh [protocol|server] [ARGUMENT-OF-CARGO-MUTANTS ...]" >&2; exit 2 ;;
esac
