#!/usr/bin/env bash
# Makes dist/everbeat, one file with the site inside, from the output of `make build`; and tests that it serves from an
# empty directory.
# usage: scripts/dist.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=${CARGO_TARGET_DIR:-target}
embed=target/embed

for made in target/site/pkg "$target/release/hash.txt"; do
  [ -e "$made" ] || { echo "There is no $made: run make build first." >&2; exit 1; }
done

gather() {
  rm -rf "$embed"
  mkdir -p "$embed"
  cp -r target/site "$embed/site"
  # TypeScript's types are only for compiling.
  find "$embed/site" -name '*.ts*' -delete
  cp "$target/release/hash.txt" "$embed/hash.txt"
}

fail() {
  echo "dist/everbeat: $1" >&2
  sed 's/^/  | /' "$here/log" >&2
  exit 1
}

# get PATH FILE [OPTION...]: the head goes to $here/head.
get() {
  local path=$1 file=$2
  shift 2
  curl -sS --noproxy '*' --max-time 10 -D "$here/head" -o "$file" "$@" "$url$path"
}

head_has() { tr -d '\r' <"$here/head" | grep -qiE "^$1" || fail "$2 came without $1"; }

check() {
  local name hash
  here=$(mktemp -d)
  # The server may have ended already, which is no failure here.
  trap 'kill "$server" 2>/dev/null || true; rm -rf "$here"' EXIT
  mkdir "$here/empty"
  (cd "$here/empty" && exec env -i NO_COLOR=1 "$dist" --listen 127.0.0.1:0 --admin off) 2>"$here/log" &
  server=$!
  for _ in $(seq 100); do
    url=$(grep -oE 'http://127\.0\.0\.1:[0-9]+' "$here/log") && break
    kill -0 "$server" 2>/dev/null || fail "it ended"
    sleep 0.1
  done
  [ -n "${url-}" ] || fail "it does not serve"

  get / "$here/page"
  head_has 'HTTP/1.1 200' 'the page'
  for name in js wasm css; do
    hash=$(sed -n "s/^$name: //p" "$embed/hash.txt")
    file="everbeat.$hash.$name"
    grep -q "/pkg/$file" "$here/page" || fail "the page does not name $file"
    get "/pkg/$file" "$here/file" -H 'Accept-Encoding: br'
    head_has 'HTTP/1.1 200' "$file"
    head_has 'content-encoding: br' "$file"
    head_has 'cache-control: .*immutable' "$file"
    cmp -s "$here/file" "$embed/site/pkg/$file.br" || fail "$file is another one"
    get "/pkg/$file" "$here/file"
    cmp -s "$here/file" "$embed/site/pkg/$file" || fail "$file is another one, plain"
  done
  get /favicon.svg "$here/file"
  head_has 'content-type: image/svg' favicon.svg
  # The answer does not end: curl ends the connection.
  get /ws /dev/null --max-time 2 -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' \
    -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' -H 'Sec-WebSocket-Protocol: everbeat.v1' 2>/dev/null || true
  head_has 'HTTP/1.1 101' '/ws'
  kill "$server"
  wait "$server" || fail "it did not end in order"
}

gather
cargo build --locked --release -p server --bin everbeat --features embed
mkdir -p dist
cp "$target/release/everbeat" dist/everbeat
dist=$PWD/dist/everbeat
check
echo "dist/everbeat: $(du -h dist/everbeat | cut -f 1), serves by itself"
