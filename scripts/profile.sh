#!/usr/bin/env bash
# Draws a flame graph of the server's CPU time or memory under a workload, into docs/performance/NAME.svg.
# usage: scripts/profile.sh cpu|heap NAME WORKLOAD [OPTION ...]      options: cargo run --release -p bench -- measure --help
# Needs perf (cpu) or heaptrack (heap), from the system's packages, and cargo install inferno.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

kind=$1 name=$2
shift 2
work=target/profile
mkdir -p "$work" docs/performance
interpret=/usr/lib/heaptrack/libexec/heaptrack_interpret
preload=/usr/lib/heaptrack/libheaptrack_preload.so

needs() {
  for program in "$@"; do
    command -v "$program" >/dev/null || { echo "profile: $program is missing" >&2; exit 1; }
  done
}

# With frame pointers, by which perf walks the stack, and with symbols.
echo "profile: building the server with frame pointers (some minutes, once)"
RUSTFLAGS="-C force-frame-pointers=yes" cargo build --locked --quiet --release --target-dir "$work" \
  --config 'profile.release.debug="line-tables-only"' --config 'profile.release.lto="thin"' -p server
cargo build --locked --quiet --release -p bench

# The server under a profiler, as one program that bench can start and end.
case $kind in
  cpu)
    needs perf inferno-collapse-perf inferno-flamegraph
    cat >"$work/server" <<EOF
#!/usr/bin/env bash
(sleep 6; exec perf record -q -F 999 -g -p \$\$ -o "$PWD/$work/perf.data" -- sleep 8) >/dev/null 2>&1 &
exec "$PWD/$work/release/everbeat" "\$@"
EOF
    ;;
  heap)
    needs heaptrack_print inferno-flamegraph "$interpret"
    cat >"$work/server" <<EOF
#!/usr/bin/env bash
export DUMP_HEAPTRACK_OUTPUT="$PWD/$work/heap.raw" LD_PRELOAD=$preload
exec "$PWD/$work/release/everbeat" "\$@"
EOF
    ;;
  *) echo "profile: cpu or heap, not $kind" >&2; exit 1 ;;
esac
chmod +x "$work/server"

ulimit -n "$(ulimit -Hn)"
target/release/bench --server "$work/server" measure --peer everbeat --runs 1 \
  --results "$work/results" --document "$work/RESULTS.md" "$@"

case $kind in
  cpu) perf script -i "$work/perf.data" 2>/dev/null | inferno-collapse-perf >"$work/stacks" ;;
  heap)
    "$interpret" <"$work/heap.raw" | gzip >"$work/heap.gz"
    # The memory at its peak, by the code that allocated it.
    heaptrack_print --flamegraph-cost-type peak --print-flamegraph "$work/stacks" "$work/heap.gz" >"$work/heap.txt"
    ;;
esac
inferno-flamegraph --title "$name" --countname "$([ "$kind" = cpu ] && echo samples || echo bytes)" <"$work/stacks" >"docs/performance/$name.svg"
echo "profile: docs/performance/$name.svg"
