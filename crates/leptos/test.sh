#!/usr/bin/env bash
# Runs this crate's tests: as the server renders, natively over a link of the test's own, and in headless Chromium.
# Needs wasm-bindgen-test-runner (wasm-bindgen-cli) and chromedriver (Debian: chromium-driver).
# usage: crates/leptos/test.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

for tool in wasm-bindgen-test-runner chromedriver; do
  command -v "$tool" >/dev/null || { echo "crates/leptos/test.sh: $tool is not on the PATH." >&2; exit 1; }
done

# One after the other: in one build the features would be added up.
cargo test --locked -p everbeat-leptos --features ssr
cargo test --locked -p everbeat-leptos --features csr --test hooks

out=$(mktemp)
trap 'rm -f "$out"' EXIT
CHROMEDRIVER=$(command -v chromedriver) CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=wasm-bindgen-test-runner \
  cargo test --locked -p everbeat-leptos --features csr --target wasm32-unknown-unknown --test web 2>&1 | tee "$out"
# The runner is content with a test binary in which it finds no test at all: that must not pass for success.
grep -qE '^test result: ok\. [1-9]' "$out" || { echo "crates/leptos/test.sh: no test ran in the browser." >&2; exit 1; }
