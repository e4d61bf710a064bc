#!/usr/bin/env bash
# Puts each deliberate fault of simulation/faults into a copy of the core, and shows that the simulation catches it.
# usage: scripts/faults.sh [NAME ...]      without names: all of them
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seeds=2000
copy=target/faults/copy
faults=simulation/faults
# A little optimization: quick to build, quick enough to run. A fault may leave code unused.
export RUSTFLAGS="-A warnings"
export CARGO_TARGET_DIR="$PWD/target/faults" CARGO_PROFILE_DEV_OPT_LEVEL=1 CARGO_PROFILE_DEV_DEBUG=false

# The core and the view, in a workspace of its own, so that nothing else is built.
fresh_copy() {
  rm -rf "$copy"
  mkdir -p "$copy/crates"
  # Without -p: the new times tell Cargo that the files changed.
  cp -r crates/protocol crates/log crates/view "$copy/crates/"
  cp -r simulation Cargo.lock "$copy/"
  sed -E 's#^members = .*#members = ["crates/protocol", "crates/log", "crates/view", "simulation"]#; s#^default-members = .*##' Cargo.toml >"$copy/Cargo.toml"
}

simulate() { (cd "$copy" && cargo run --quiet -p simulation -- --seeds "$seeds" --lines 0); }

[ $# -gt 0 ] || set -- $(cd "$faults" && ls *.patch | sed 's/\.patch$//')

fresh_copy
simulate >/dev/null || { echo "The simulation fails without any fault: make simulate" >&2; exit 1; }

missed=0
printf '%-34s %-8s %s\n' fault caught 'by'
for name in "$@"; do
  fresh_copy
  (cd "$copy" && GIT_CEILING_DIRECTORIES="$PWD" git apply "$OLDPWD/$faults/$name.patch") ||
    { echo "$faults/$name.patch no longer fits the code: make it anew." >&2; exit 1; }
  if ! (cd "$copy" && cargo build --quiet -p simulation); then
    echo "$faults/$name.patch does not compile: make it anew." >&2
    exit 1
  fi
  if out=$(simulate); then
    printf '%-34s %-8s %s\n' "$name" NO "$seeds seeds passed"
    missed=$((missed + 1))
  else
    runs=$(sed -nE 's/^([0-9]+) runs in .*/\1/p' <<<"$out")
    # The message of a failed assertion is on its first line; the subject of an equality follows a colon.
    why=$(sed -nE '/^FAILED/{n;p;q}' <<<"$out" | cut -c1-90)
    printf '%-34s %-8s %s\n' "$name" "run $runs" "$why"
  fi
done
[ "$missed" -eq 0 ] || { echo "$missed of $# faults were not caught." >&2; exit 1; }
echo "All $# faults were caught."
