#!/usr/bin/env bash
# Fuzzes the pure core: random input, guided by coverage, with checks after each step.
# Starts from fuzz/seeds and from the inputs of earlier runs in fuzz/corpus.
# usage: scripts/fuzz.sh [TARGET [SECONDS]]    each target (codec, client, server, tutorial), or one; 60 s
#        scripts/fuzz.sh seeds [TARGET]        makes the seeds anew: the fewest inputs with the coverage of all
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fuzz=fuzz
logs=target/fuzz/logs
# The most seeds of a target in the repository.
seeds_max=40
# Without a sanitizer: the core has no unsafe code, and a sanitizer needs a nightly compiler.
# Larger inputs are slow, and find no more than smaller ones.
common=(--fuzz-dir "$fuzz" --sanitizer none --target-dir target/fuzz)
options=(-max_len=4096 -timeout=10 -rss_limit_mb=2048)

targets() { sed -n 's/^name = "\([a-z]*\)"$/\1/p' "$fuzz/Cargo.toml"; }

fuzzer() { cargo fuzz run "${common[@]}" "$@"; }

# The last number in libFuzzer's output after a word.
said() { grep -oE "$1[: ]+[0-9]+" "$2" | tail -n 1 | grep -oE '[0-9]+$' || echo 0; }

run() {
  local target=$1 seconds=$2 log=$logs/$1.log
  mkdir -p "$fuzz/corpus/$target"
  printf 'fuzz: %-8s for %s s ... ' "$target" "$seconds"
  local dictionary=()
  [ ! -e "$fuzz/$target.dict" ] || dictionary=("-dict=$fuzz/$target.dict")
  if ! fuzzer "$target" "$fuzz/corpus/$target" "$fuzz/seeds/$target" -- "${options[@]}" ${dictionary[@]+"${dictionary[@]}"} \
    -max_total_time="$seconds" -print_final_stats=1 >"$log" 2>&1 </dev/null; then
    printf 'FOUND SOMETHING\n'
    { grep -A4 '^thread .* panicked' "$log" || grep 'ERROR: libFuzzer' "$log" || tail -n 20 "$log"; } | head -n 20 >&2
    grep -o 'Test unit written.*' "$log" >&2 || true
    printf 'fuzz: the whole log: %s\n' "$log" >&2
    printf '      play it again: cargo fuzz run --fuzz-dir %s --sanitizer none --target-dir target/fuzz %s FILE\n' "$fuzz" "$target" >&2
    printf '      make it smaller: the same with tmin for run\n' >&2
    return 1
  fi
  printf '%s runs, %s edges reached, nothing found\n' "$(said stat::number_of_executed_units "$log")" "$(said cov "$log")"
}

# The fewest inputs, by cargo fuzz cmin, then by a greedy cover; at most seeds_max, those with the most coverage.
seeds() {
  local target=$1 log=$logs/$1-seeds.log chosen
  chosen=$(mktemp -d)
  mkdir -p "$fuzz/corpus/$target" "$fuzz/seeds/$target"
  cp "$fuzz/seeds/$target"/* "$fuzz/corpus/$target/" 2>/dev/null || true
  cargo fuzz cmin "${common[@]}" "$target" "$fuzz/corpus/$target" -- "${options[@]}" >"$log" 2>&1
  fuzzer "$target" "$chosen" "$fuzz/corpus/$target" -- "${options[@]}" -set_cover_merge=1 >>"$log" 2>&1
  rm -rf "${fuzz:?}/seeds/$target"
  mkdir -p "$fuzz/seeds/$target"
  # The cover writes the inputs with the most coverage first.
  find "$chosen" -type f -printf '%T@ %p\n' | sort -n | head -n "$seeds_max" | cut -d' ' -f2- | xargs -I{} cp {} "$fuzz/seeds/$target/"
  rm -rf "$chosen"
  printf 'fuzz: %-8s %s seeds of %s inputs\n' "$target" "$(find "$fuzz/seeds/$target" -type f | wc -l)" "$(find "$fuzz/corpus/$target" -type f | wc -l)"
}

main() {
  local todo=run chosen failed=
  [ "${1-}" != seeds ] || { todo=seeds; shift; }
  # An empty argument counts as none, as make passes empty variables.
  local seconds=${2:-60}
  chosen=${1:-$(targets)}
  mkdir -p "$logs"
  printf 'fuzz: building the targets (a minute or two when they changed)\n'
  cargo fuzz build "${common[@]}" >"$logs/build.log" 2>&1 || { tail -n 30 "$logs/build.log" >&2; exit 1; }
  for target in $chosen; do
    "$todo" "$target" "$seconds" || failed=yes
  done
  [ -z "$failed" ]
}

main "$@"
