# shellcheck shell=bash disable=SC2154,SC2317
# A Rust toolchain that builds for the browser, and the tools that are built with it.
# The short way is rustup. If its server cannot be reached, Debian's compiler is used.

wasm=wasm32-unknown-unknown
# The Rust version that the tools below need; the toolchain of the checkout may be older.
tools_rust=1.96
cargo_leptos=0.3.11
cargo_fuzz=0.13.2
cargo_deny=0.20.2
cargo_audit=0.22.2
# The version of wasm-bindgen for a checkout without Cargo.lock.
wasm_bindgen_default=0.2.130

debian_root=/usr/lib/rustlib
debian_wasm="$debian_root/$wasm"
debian_packages=(rustc-web cargo-web rust-web-src libstd-rust-web-dev rust-web-clippy rustfmt-web)

# rustup must not install by itself: that download would have no timeout.
export RUSTUP_AUTO_INSTALL=0

rust_works() { rustc --version >/dev/null 2>&1 && cargo --version >/dev/null 2>&1; }

# Whether the compiler of this checkout has a standard library for the browser, built by this same compiler.
wasm_std_works() {
  local lib
  lib=$(rustc --print target-libdir --target "$wasm" 2>/dev/null) || return 1
  compgen -G "$lib/libstd-*.rlib" >/dev/null || return 1
  [ ! -e "$lib/../built-by" ] || rustc -vV | cmp -s - "$lib/../built-by"
}

lints_work() { cargo clippy --version >/dev/null 2>&1 && cargo fmt --version >/dev/null 2>&1; }

# --- Debian's toolchain ---

debian_rustc_works() {
  [ -x /usr/bin/rustc ] && [ -x /usr/bin/cargo ] && version_ge "$(version_of /usr/bin/rustc --version)" "$tools_rust"
}

debian_wasm_works() {
  debian_rustc_works && [ -e "$debian_wasm/built-by" ] && /usr/bin/rustc -vV | cmp -s - "$debian_wasm/built-by"
}

debian_has_rustc() {
  has apt-get || return 1
  local candidate
  candidate=$(apt-cache policy rustc-web 2>/dev/null | sed -n 's/^ *Candidate: //p')
  if [ -z "$candidate" ] || [ "$candidate" = "(none)" ]; then
    may_be_root || return 1
    apt_refresh
    candidate=$(apt-cache policy rustc-web 2>/dev/null | sed -n 's/^ *Candidate: //p')
  fi
  [ "$candidate" != "(none)" ] && version_ge "${candidate:-0}" "$tools_rust"
}

debian_install_rustc() {
  debian_rustc_works && [ -x /usr/bin/cargo-clippy ] && [ -x /usr/bin/rustfmt ] && [ -e "$debian_root/src/rust/library/std" ] && return
  say "installing Debian's Rust compiler, as rustup's downloads are not available (about 25 s)"
  apt_install debian-rust "${debian_packages[@]}" || die "apt-get could not install Debian's Rust compiler." "Run: apt-get install ${debian_packages[*]}"
}

# The linker for WebAssembly is LLVM's, under the name that Rust expects.
debian_install_linker() {
  local host llvm
  host=$(/usr/bin/rustc -vV | sed -n 's/^host: //p')
  llvm=$(/usr/bin/rustc -vV | sed -nE 's/^LLVM version: ([0-9]+).*/\1/p')
  [ -x "$debian_root/$host/bin/rust-lld" ] && return
  [ -x "/usr/lib/llvm-$llvm/bin/lld" ] || apt_need lld "LLVM's linker" "lld-$llvm"
  may_be_root || die "Rust's linker has to be linked into $debian_root, which needs root." \
    "Run: sudo mkdir -p $debian_root/$host/bin && sudo ln -sfn /usr/lib/llvm-$llvm/bin/lld $debian_root/$host/bin/rust-lld" "then start again."
  as_root mkdir -p "$debian_root/$host/bin"
  as_root ln -sfn "/usr/lib/llvm-$llvm/bin/lld" "$debian_root/$host/bin/rust-lld"
}

# Debian ships the library's source, but not built for the browser. `test` is for `cargo test`.
debian_build_std() {
  debian_wasm_works && return
  say "building Rust's standard library for the browser (about 40 s, once)"
  local crate="$cache/wasm-std" staged="$cache/wasm-std/staged"
  rm -rf "$crate"
  mkdir -p "$crate/src" "$staged/lib"
  printf '[package]\nname = "nothing"\nversion = "0.0.0"\nedition = "2021"\n\n[workspace]\n' >"$crate/Cargo.toml"
  : >"$crate/src/lib.rs"
  debian_std_cargo() {
    cd "$crate" && env -u RUSTFLAGS -u CARGO_TARGET_DIR -u CARGO_BUILD_TARGET RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc \
      /usr/bin/cargo build --release --target "$wasm" -Zbuild-std=std,panic_abort,proc_macro,test
  }
  # A subshell, because it changes the working directory.
  (loud_on_failure wasm-std debian_std_cargo) || die "Rust's standard library could not be built for the browser." "It needs the network. If there is one, please report the log."
  find "$crate/target/$wasm/release/deps" -name '*.rlib' ! -name 'libnothing-*' -exec cp {} "$staged/lib/" \;
  /usr/bin/rustc -vV >"$staged/built-by"
  may_be_root || die "The library has to be copied to $debian_wasm, which needs root." "Run: sudo rm -rf $debian_wasm && sudo cp -r $staged $debian_wasm" "then start again."
  as_root rm -rf "$debian_wasm"
  as_root cp -r "$staged" "$debian_wasm"
  rm -rf "$crate"
}

debian_link() {
  has rustup || return 0
  [ "$(rustc +debian --print sysroot 2>/dev/null)" = /usr ] || quietly rustup-link rustup toolchain link debian /usr
}

# The choice holds for this checkout only.
debian_select() {
  debian_link
  if has rustup; then
    say "selecting Debian's compiler for this checkout (undo: rustup override unset)"
    quietly rustup-override rustup override set debian
  else
    hash -r
  fi
  rust_works && wasm_std_works && return
  die "Debian's compiler is installed, but another one is used: $(command -v rustc)." \
    "Unset RUSTUP_TOOLCHAIN, or put /usr/bin first on the PATH, then start again."
}

debian_all() {
  debian_install_rustc
  debian_install_linker
  debian_build_std
  debian_select
}

# --- the toolchain ---

setup_rust() {
  rust_works && wasm_std_works && return
  if debian_wasm_works; then
    debian_all
    return
  fi
  if rust_works; then
    if has rustup; then
      say "fetching Rust's standard library for the browser (rustup target add; a few seconds, at most $patience s)"
      quietly rustup-target bounded "$patience" rustup target add "$wasm" && wasm_std_works && return
    fi
  elif has rustup; then
    say "fetching the Rust of rust-toolchain.toml (rustup; about 30 s, at most $((3 * patience)) s)"
    quietly rustup-toolchain bounded "$((3 * patience))" \
      rustup toolchain install stable --profile minimal --no-self-update -c clippy -c rustfmt -t "$wasm" && rust_works && wasm_std_works && return
  fi
  if debian_has_rustc; then
    debian_all
  elif has rustup; then
    die "Rust's standard library for the browser could not be fetched." \
      "If the line is slow, run: rustup toolchain install stable -c clippy -c rustfmt -t $wasm" "then start again."
  else
    die "Rust with a standard library for $wasm is missing." \
      "Install rustup (the Rust home page says how) and run: rustup toolchain install stable -c clippy -c rustfmt -t $wasm" "then start again."
  fi
}

setup_lints() {
  lints_work && return
  say "fetching Clippy and rustfmt (a few seconds)"
  if [ "$(rustc --print sysroot)" = /usr ] && has apt-get; then
    apt_install lints rust-web-clippy rustfmt-web || true
  elif has rustup; then
    quietly lints bounded "$((3 * patience))" rustup component add clippy rustfmt || true
  fi
  lints_work || die "Clippy or rustfmt is missing." "Run: rustup component add clippy rustfmt"
}

# --- the tools ---

# The Cargo that builds the tools; the checkout's own where it is new enough.
tools_cargo=()
choose_tools_cargo() {
  [ ${#tools_cargo[@]} -eq 0 ] || return 0
  if version_ge "$(version_of rustc --version)" "$tools_rust"; then
    tools_cargo=(cargo)
    return
  fi
  # At this point there is a rustup, or setup_rust chose Debian's toolchain, which is new enough.
  if rustc "+$tools_rust.0" --version >/dev/null 2>&1; then
    tools_cargo=(cargo "+$tools_rust.0")
    return
  fi
  if ! debian_rustc_works; then
    say "fetching Rust $tools_rust beside $(version_of rustc --version), which is too old to build cargo-leptos (at most $((3 * patience)) s)"
    tools_cargo=(cargo "+$tools_rust.0")
    quietly rustup-tools bounded "$((3 * patience))" rustup toolchain install "$tools_rust.0" --profile minimal --no-self-update && return
    debian_has_rustc || die "cargo-leptos needs Rust $tools_rust to be built." "Run: rustup update stable" "then start again."
    debian_install_rustc
  fi
  debian_link
  tools_cargo=(cargo +debian)
}

# compile_with CRATE VERSION [OPTION...]: the command that compiles a tool. An interrupted build goes on where it was, so it has a folder of its own.
compile_with() {
  choose_tools_cargo
  compile=(env -u RUSTFLAGS -u CARGO_BUILD_TARGET CARGO_TARGET_DIR="$cache/$1" CARGO_PROFILE_DEV_DEBUG=0
    nice -n 5 "${tools_cargo[@]}" install "$1" --debug --force --version "${@:2}")
}

prebuilt_tool() {
  has cargo-binstall || return 1
  quietly "$1-binstall" bounded "$((6 * patience))" cargo-binstall --no-confirm --disable-strategies compile --force "$1@$2"
}

cargo_leptos_works() {
  local version
  version=$(version_of cargo-leptos --version)
  version_ge "${version:-0}" "$cargo_leptos" && ! version_ge "$version" 0.4
}

# cargo-leptos takes by far the longest, so it is built beside the other steps.
cargo_leptos_pid=
start_cargo_leptos() {
  cargo_leptos_works && return
  prebuilt_tool cargo-leptos "$cargo_leptos" && cargo_leptos_works && return
  compile_with cargo-leptos "$cargo_leptos" --locked
  say "compiling cargo-leptos $cargo_leptos, which builds the site (5 to 10 min, once; other steps run meanwhile)"
  "${compile[@]}" >"$(log_of cargo-leptos)" 2>&1 </dev/null &
  cargo_leptos_pid=$!
  trap 'kill "$cargo_leptos_pid" 2>/dev/null || true' EXIT
}

finish_cargo_leptos() {
  [ -n "$cargo_leptos_pid" ] || return 0
  local failed=
  wait "$cargo_leptos_pid" || failed=yes
  trap - EXIT
  if [ -n "$failed" ] || ! cargo_leptos_works; then
    show_log cargo-leptos
    die "cargo-leptos could not be built." "Run: ${tools_cargo[*]} install cargo-leptos --version $cargo_leptos --locked"
  fi
  rm -rf "$cache/cargo-leptos"
}

wasm_bindgen_version() {
  local version=
  [ ! -e Cargo.lock ] || version=$(awk '/^name = "wasm-bindgen"$/ { getline; gsub(/"/, "", $3); print $3; exit }' Cargo.lock)
  printf '%s' "${version:-$wasm_bindgen_default}"
}

# wasm-bindgen's tools must have the crate's version. No --locked: their lock file names a version that is no longer available.
setup_wasm_bindgen() {
  local version
  version=$(wasm_bindgen_version)
  wasm_bindgen_works() {
    [ "$(version_of wasm-bindgen --version)" = "$version" ] && [ "$(version_of wasm-bindgen-test-runner --version)" = "$version" ]
  }
  wasm_bindgen_works && return
  prebuilt_tool wasm-bindgen-cli "$version" && wasm_bindgen_works && return
  compile_with wasm-bindgen-cli "$version"
  say "compiling wasm-bindgen $version, the version in Cargo.lock (1 to 3 min)"
  loud_on_failure wasm-bindgen "${compile[@]}" ||
    die "wasm-bindgen could not be built." "Run: ${tools_cargo[*]} install wasm-bindgen-cli --version $version"
  rm -rf "$cache/wasm-bindgen-cli"
}

# setup_cargo_tool CRATE VERSION WHAT: a tool that Cargo finds by its name, and how long it takes.
setup_cargo_tool() {
  cargo_tool_works() { version_ge "$(version_of "$1" --version)" "$2"; }
  cargo_tool_works "$1" "$2" && return
  prebuilt_tool "$1" "$2" && cargo_tool_works "$1" "$2" && return
  compile_with "$1" "$2" --locked
  say "compiling $1 $2, which $3"
  loud_on_failure "$1" "${compile[@]}" || die "$1 could not be built." "Run: cargo install $1 --version $2 --locked"
  rm -rf "${cache:?}/$1"
}

# With the checkout's compiler: without a sanitizer a stable and an older one will do.
setup_cargo_fuzz() {
  tools_cargo=(cargo)
  setup_cargo_tool cargo-fuzz "$cargo_fuzz" "runs the fuzz targets (about a minute, once)"
}

setup_cargo_deny() {
  setup_cargo_tool cargo-deny "$cargo_deny" "checks the licences and sources of dependencies (2 to 3 min, once)"
}

setup_cargo_audit() {
  setup_cargo_tool cargo-audit "$cargo_audit" "finds known vulnerabilities of dependencies (2 to 3 min, once)"
}
