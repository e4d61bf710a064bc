#!/usr/bin/env bash
# Runs the Autobahn WebSocket test suite against the real server's tutorial dialect, which echoes text.
# The suite is installed into target/autobahn; reports with every frame: target/autobahn/reports/index.html
# usage: scripts/autobahn.sh      PYTHON2=/path/to/python2.7 where it is not found by itself
#                                 EVERBEAT=/path/to/everbeat for another server than the one of `make build`
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/setup-lib.sh
. scripts/setup-lib.sh
# shellcheck source=scripts/server-lib.sh
. scripts/server-lib.sh

suite=25.10.1
home=target/autobahn
everbeat=${EVERBEAT:-${CARGO_TARGET_DIR:-target}/release/everbeat}
# The largest cases send 16 MiB in one message; a frame must have room for six times the text.
body_bytes=$((16 << 20))
options=(--body-bytes "$body_bytes" --frame-bytes $((6 * body_bytes + 1024)))

is_python2() { "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (2, 7))' >/dev/null 2>&1; }

find_python2() {
  local candidate
  for candidate in "${PYTHON2-}" python2.7 python2 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/2.7*/bin/python; do
    [ -n "$candidate" ] && is_python2 "$candidate" && python2=$candidate && return
  done
  return 1
}

# The suite and its packages exist for Python 2 only, which newer distributions no longer have.
setup_python2() {
  find_python2 && return
  if has apt-get && apt-cache show python2.7 >/dev/null 2>&1; then
    apt_need python2 "Python 2.7, in which the Autobahn suite is written" python2.7
  elif has pyenv; then
    say "compiling Python 2.7, in which the Autobahn suite is written (pyenv install; 2 to 5 min, once)"
    loud_on_failure python2 pyenv install -s 2.7.18 || true
  fi
  find_python2 || die "the Autobahn suite needs Python 2.7, which is not here." \
    "Install it (pyenv install 2.7.18, say) and start again, or name it: PYTHON2=/path/to/python2.7 make autobahn"
}

setup_suite() {
  local site=$home/python-$suite
  [ -e "$site/complete" ] && return
  "$python2" -m pip --version >/dev/null 2>&1 || quietly python2-pip "$python2" -m ensurepip --user ||
    die "this Python 2.7 has no pip: $python2." "Install pip for it, then start again."
  say "installing the Autobahn suite $suite into $site (pip; under a minute)"
  rm -rf "$site"
  loud_on_failure autobahn "$python2" -m pip install --disable-pip-version-check --target "$site" "autobahntestsuite==$suite" ||
    die "the Autobahn suite could not be installed." "Without a network this cannot go on; else please report the log."
  touch "$site/complete"
}

mkdir -p "$home" "$cache"
setup_python2
setup_suite
start_server "$everbeat" "$home" "${options[@]}"
rm -rf "$home/reports"
mkdir -p "$home/reports"
say "running the suite (one to three minutes; its log: $home/suite.log)"
"$python2" scripts/autobahn/run.py "$home/python-$suite" scripts/autobahn/cases.json "$home/reports" "ws://$address/ws" 2>&1 |
  tee "$home/suite.log" | { grep -v -E '^($|Running test case|Using |Autobahn Fuzzing|Cases = |Servers = )' || true; }
