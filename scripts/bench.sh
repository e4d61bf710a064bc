#!/usr/bin/env bash
# Measures Everbeat beside other servers, in turn on this machine, and writes bench/RESULTS.md.
# usage: scripts/bench.sh [WORKLOAD ...] [OPTION ...]      see: cargo run --release -p bench -- measure --help
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

peers() {
  local node=bench/peers/node done_lock=bench/peers/node/node_modules/.everbeat-lock.json
  if ! cmp -s "$node/package-lock.json" "$done_lock"; then
    echo "bench: installing the peers that run in Node and Bun (npm ci in $node; a few seconds)"
    npm --prefix "$node" ci --silent
    cp "$node/package-lock.json" "$done_lock"
  fi
  echo "bench: building the peers in Rust (two minutes, once)"
  cargo build --locked --quiet --release --manifest-path bench/peers/rust/Cargo.toml
}

# These workloads have no other servers.
case "$*" in page | cluster) ;; *) peers ;; esac

# shellcheck source=scripts/chromium.sh
. scripts/chromium.sh

# Each connection needs a descriptor at both ends.
ulimit -n "$(ulimit -Hn)"
cargo run --locked --release -p bench -- measure "$@"
