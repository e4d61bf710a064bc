#!/usr/bin/env bash
# Everything that a change must pass, in the order in which a mistake shows soonest.
# usage: scripts/test.sh [lint]      `lint` stops after the lints
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# `app` and `everbeat-leptos` are named apart from the rest: with `frontend` or `server` in one command Cargo would build them for the browser and
# the server at once.
wasm=wasm32-unknown-unknown
deny=(-- -D warnings)
# All crates for this machine but `app`; and a feature that no crate here turns on by itself.
native=(-p everbeat-protocol -p everbeat-log -p everbeat-view -p everbeat-client -p everbeat-axum -p simulation -p server -p bench --features everbeat-client/file-store,everbeat-client/rustls)

step() {
  printf '\n== %s\n' "$*"
  "$@"
}

wasm_tests() {
  local out
  out=$(mktemp)
  CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=wasm-bindgen-test-runner \
    cargo test --locked -p everbeat-protocol --target "$wasm" 2>&1 | tee "$out"
  # The runner passes a test binary without any tests: that must count as a failure.
  local ran
  ran=$(sed -nE 's/^test result: ok\. ([0-9]+) passed.*/\1/p' "$out" | awk '{ n += $1 } END { print n + 0 }')
  rm -f "$out"
  [ "$ran" -gt 0 ] || { echo "No test of protocol ran on $wasm." >&2; return 1; }
}

# The program's own dependencies: no library pulls them in, whatever its features.
lean_libraries() {
  local crate tree
  for crate in everbeat-protocol everbeat-log everbeat-view everbeat-client everbeat-axum; do
    tree=$(cargo tree --locked --all-features -e normal --prefix none -p "$crate")
    if grep -E '^(leptos|leptos_axum|clap|opentelemetry|opentelemetry_sdk|app|server) ' <<<"$tree"; then
      echo "$crate must not depend on these." >&2
      return 1
    fi
  done
}

documentation() {
  RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked "${native[@]}" -p everbeat-web
  RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked -p everbeat-leptos --features csr
}

end_to_end() (
  # shellcheck source=scripts/chromium.sh
  . scripts/chromium.sh
  cd end2end && npx playwright test
)

step cargo fmt --all --check
step cargo fmt --manifest-path fuzz/Cargo.toml --check
step cargo fmt --manifest-path bench/peers/rust/Cargo.toml --check
step cargo clippy --locked "${native[@]}" --all-targets "${deny[@]}"
step cargo clippy --locked -p app --features ssr --all-targets "${deny[@]}"
step cargo clippy --locked -p everbeat-leptos --features ssr --all-targets "${deny[@]}"
step cargo clippy --locked -p everbeat-leptos --features csr --all-targets "${deny[@]}"
step cargo clippy --locked -p everbeat-leptos --features csr --all-targets --target "$wasm" "${deny[@]}"
step cargo clippy --locked -p everbeat-web -p frontend --target "$wasm" "${deny[@]}"
step lean_libraries
step cargo check --locked -p everbeat-axum --no-default-features
step cargo check --locked -p server --no-default-features
[ "${1-}" = lint ] && exit 0

step node --test end2end/inspector/*.test.mjs
step scripts/msrv.sh

# `make audit` checks for known vulnerabilities, as their list needs the network.
step cargo deny --locked check bans licenses sources
step documentation
step cargo test --locked "${native[@]}"
step cargo run --locked --release -p simulation
step cargo test --locked -p app --features ssr
step wasm_tests
step crates/web/test.sh
step crates/leptos/test.sh
step cargo leptos build --release --precompress
step end_to_end
step cargo run --locked -p bench -- attack --quick
step env EXAMPLES=50 scripts/api-fuzz.sh
step scripts/dist.sh

printf '\nAll passed, in %d min %d s.\n' $((SECONDS / 60)) $((SECONDS % 60))
