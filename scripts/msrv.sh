#!/usr/bin/env bash
# Each library builds with the Rust that it declares (`rust-version`): no dependency of its own needs a newer one, and a compiler of that
# version takes it. That is looked for on this machine, and fetched where CI is set. Without one the lints alone say which parts of the
# standard library are newer (Clippy's incompatible_msrv, which is a warning by default).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/setup-lib.sh
. scripts/setup-lib.sh
export RUSTUP_AUTO_INSTALL=0

libraries=(everbeat-protocol everbeat-view everbeat-client everbeat-web)

can_compile() { has rustup && rustc "+$1" --version >/dev/null 2>&1; }

declared=$(cargo metadata --locked --format-version 1 | node scripts/msrv.mjs "${libraries[@]}")
while read -r library version; do
  [[ $version == *.*.* ]] || version="$version.0"
  if ! can_compile "$version" && has rustup && [ -n "${CI-}" ]; then
    bounded "$((3 * patience))" rustup toolchain install "$version" --profile minimal --no-self-update >/dev/null 2>&1 || true
  fi
  if can_compile "$version"; then
    # A folder of its own: two compilers would have each other's work done again.
    CARGO_TARGET_DIR=target/msrv cargo "+$version" check --locked --quiet -p "$library" --all-features
    echo "$library builds with Rust $version."
  else
    echo "$library: Rust $version is enough for its dependencies. It was not built with that, which is not here."
  fi
done <<<"$declared"
