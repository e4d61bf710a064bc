#!/usr/bin/env bash
# Installs the missing tools for building Everbeat (`build`), or also for testing it (`test`);
# or only those of the fuzz targets (`fuzz`), or of the checks of dependencies (`audit`).
# Installed tools are skipped silently, so every make target may call it.
# usage: scripts/setup.sh build|test|fuzz|audit
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/setup-lib.sh
. scripts/setup-lib.sh
# shellcheck source=scripts/setup-rust.sh
. scripts/setup-rust.sh

export PATH="$cargo_bin:$PATH"
export npm_config_update_notifier=false npm_config_audit=false npm_config_fund=false

node_needed=20
binaryen=132.0.0

# SQLite is compiled into the server.
setup_c_compiler() {
  has cc || apt_need c-compiler "a C compiler" gcc libc6-dev
}

# The fuzzer, libFuzzer, is compiled into each target.
setup_cpp_compiler() {
  has c++ || apt_need cpp-compiler "a C++ compiler" g++
}

setup_node() {
  if ! has node || ! has npm; then
    apt_need node "Node.js and npm" nodejs npm
  fi
  version_ge "$(version_of node --version)" "$node_needed" ||
    die "Node.js $(version_of node --version) is too old; $node_needed or newer is needed." "Install a newer one, then start again."
}

# cargo-leptos shrinks the WebAssembly with the `wasm-opt` on the PATH. Distributions have one that is too old for today's Rust.
setup_wasm_opt() {
  local home="$share/binaryen-$binaryen" version
  [ "$(readlink "$cargo_bin/wasm-opt" 2>/dev/null)" = "$home/node_modules/.bin/wasm-opt" ] && [ -e "$cargo_bin/wasm-opt" ] && return
  version=$(has wasm-opt && wasm-opt --version | grep -oE '[0-9]+' | head -n 1) || true
  version_ge "${version:-0}" 120 && return
  say "installing wasm-opt, which shrinks the page (npm, a few seconds)"
  mkdir -p "$home" "$cargo_bin"
  loud_on_failure binaryen npm install --prefix "$home" --no-save "binaryen@$binaryen" ||
    die "wasm-opt could not be installed from npm." "Put a wasm-opt (binaryen) of version 120 or newer on the PATH, then start again."
  ln -sfn "$home/node_modules/.bin/wasm-opt" "$cargo_bin/wasm-opt"
}

browser_works() {
  local name
  [ -x "${CHROMIUM-}" ] && return
  for name in chromium chromium-browser google-chrome google-chrome-stable; do
    has "$name" && return
  done
  [ -x "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" ]
}

setup_browser() {
  browser_works || apt_need chromium "Chromium for the tests in a browser" chromium
  has chromedriver || apt_need chromium-driver "chromedriver for the page's WebAssembly tests" chromium-driver
}

# The main browser test runs in two other engines, too; WebKit draws on a display in memory.
setup_engines() {
  [ -x "${FIREFOX-}" ] || has firefox-esr || has firefox || [ -x /Applications/Firefox.app/Contents/MacOS/firefox ] ||
    apt_need firefox "Firefox for the tests in a browser" firefox-esr
  [ "$(uname)" = Linux ] || return 0
  { has WebKitWebDriver && has Xvfb; } ||
    apt_need webkit "WebKit for the tests in a browser" webkit2gtk-driver xvfb
}

# The restart tests run behind these proxies. Not every user has the system's programs on the PATH.
setup_gateways() {
  local PATH="$PATH:/usr/sbin:/usr/local/sbin"
  has nginx && has haproxy && return
  apt_need gateways "nginx and HAProxy for the restart tests" nginx-light haproxy
}

# The file system of the power-cut tests is mounted by FUSE: root needs no helper for that.
setup_fuse() {
  [ "$(uname -s)" = Linux ] || return 0
  is_root || has fusermount3 || apt_need fuse "FUSE for the power-cut tests" fuse3
}

setup_end2end() {
  local lock=end2end/package-lock.json done_lock=end2end/node_modules/.everbeat-lock.json
  cmp -s "$lock" "$done_lock" && return
  say "installing the packages of the browser tests (npm ci in end2end; a few seconds)"
  PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 loud_on_failure end2end npm --prefix end2end ci ||
    die "npm ci failed in end2end." "Run: cd end2end && npm ci"
  cp "$lock" "$done_lock"
}

# A lock: two runs at once would install the same tools over each other.
one_at_a_time() {
  has flock || return 0
  exec 9>"$cache/setup.lock"
  flock -n 9 && return
  say "waiting until another set-up on this machine has finished"
  flock 9
}

main() {
  local goal=${1-}
  case "$goal" in build | test | fuzz | audit) ;; *) die "usage: scripts/setup.sh build|test|fuzz|audit" ;; esac
  mkdir -p "$cache"
  one_at_a_time

  setup_c_compiler
  if [ "$goal" = fuzz ]; then
    setup_cpp_compiler
    rust_works || setup_rust
    setup_cargo_fuzz
    return
  fi
  if [ "$goal" = audit ]; then
    rust_works || setup_rust
    setup_cargo_deny
    setup_cargo_audit
    return
  fi
  setup_node
  setup_rust
  start_cargo_leptos
  setup_wasm_opt
  setup_lints
  if [ "$goal" = test ]; then
    setup_browser
    setup_engines
    setup_gateways
    setup_fuse
    scripts/nats.sh
    setup_end2end
  fi
  setup_wasm_bindgen
  finish_cargo_leptos
  [ "$goal" = build ] || setup_cargo_deny
}

main "$@"
