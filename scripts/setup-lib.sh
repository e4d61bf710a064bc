# shellcheck shell=bash disable=SC2034
# The common functions of setup.sh's steps: print, run, install from Debian.

share="${XDG_DATA_HOME:-$HOME/.local/share}/everbeat"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/everbeat"
cargo_bin="${CARGO_HOME:-$HOME/.cargo}/bin"
# The timeout of a download in seconds, before the next way is tried; raise it for a slow line.
patience="${EVERBEAT_SETUP_PATIENCE:-20}"

say() { printf 'setup: %s\n' "$*"; }

# The first argument is the fault, the others are what the user can do.
die() {
  printf 'setup: %s\n' "$1" >&2
  shift
  [ $# -eq 0 ] || printf '       %s\n' "$@" >&2
  exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# version_ge 1.97.2 1.96: is the first at least the second?
version_ge() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]; }

# The first number with a dot in a program's version output.
version_of() { "$@" 2>/dev/null | grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1 || true; }

# bounded SECONDS COMMAND...: without timeout(1), as on macOS, there is no bound.
bounded() {
  if has timeout; then timeout "$@"; else shift && "$@"; fi
}

log_of() { printf '%s/%s.log' "$cache" "$1"; }

show_log() {
  tail -n 20 "$(log_of "$1")" | sed 's/^/  | /' >&2
  printf 'setup: the whole log: %s\n' "$(log_of "$1")" >&2
}

# quietly NAME COMMAND...: writes the command's output to a log.
quietly() {
  local log
  log=$(log_of "$1")
  shift
  "$@" >"$log" 2>&1 </dev/null
}

# As quietly; if the command fails, shows the end of its log.
loud_on_failure() {
  quietly "$@" || { show_log "$1"; return 1; }
}

is_root() { [ "$(id -u)" = 0 ]; }
may_be_root() { is_root || { has sudo && sudo -n true 2>/dev/null; }; }
as_root() { if is_root; then "$@"; else sudo -n "$@"; fi; }

apt() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
    -o Acquire::Retries=1 -o Acquire::http::Timeout="$patience" -o Acquire::https::Timeout="$patience" -o DPkg::Lock::Timeout=120 "$@"
}

apt_refreshed=
apt_refresh() {
  [ -n "$apt_refreshed" ] || quietly apt-update apt update || true
  apt_refreshed=yes
}

# apt_install NAME PACKAGE...: with the package lists at hand, else with new ones.
apt_install() {
  local name=$1
  shift
  may_be_root || die "installing $* needs root." "Run: sudo apt-get install --no-install-recommends $*" "then start again."
  quietly "$name" apt install "$@" && return
  apt_refresh
  loud_on_failure "$name" apt install "$@"
}

# apt_need NAME WHAT PACKAGE...: installs the packages, or asks the user to install WHAT.
apt_need() {
  local name=$1 what=$2
  shift 2
  has apt-get || die "$what is missing." "Install it with this system's package manager, then start again."
  say "installing $what (apt-get install $*; under a minute)"
  apt_install "$name" "$@" || die "$what could not be installed." "Install it by hand, then start again."
}
