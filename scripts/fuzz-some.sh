#!/usr/bin/env bash
# One target of `make fuzz-some`, for SECONDS_EACH; what libFuzzer says is of interest only at the end, or when it found something.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$1
mkdir -p "fuzz/found/$target"
said=fuzz/found/$target.log
if RUSTC_BOOTSTRAP=1 cargo fuzz run --dev -s none "$target" "fuzz/found/$target" "fuzz/corpus/$target" -- \
  "-max_total_time=$SECONDS_EACH" -rss_limit_mb=2048 -print_final_stats=1 >"$said" 2>&1; then
  echo "$target: $(grep -o 'cov: [0-9]*' "$said" | tail -n 1), $(grep -o 'number_of_executed_units: .*' "$said")"
else
  cat "$said"
  # Ends xargs.
  exit 255
fi
