#!/usr/bin/env bash
# User instructions of one iteration of each bench, counted by callgrind: the same on a busy machine
# as on a quiet one. Needs valgrind; an argument chooses benches by a part of their names.
#
# Each runs with N and with 2 N iterations: what the second run needs more, divided by N, is one
# iteration without the start. The processor that valgrind imitates has no AVX-512: checksums take
# another path than on one that has. What the kernel does for us is not counted.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

iterations=${ITERATIONS:-500}
benches=(
  batches::checksum::{200,4096,65536}
  batches::walk::{200,4096,65536}
  batches::checked::{200,4096,65536}
  batches::digested::{200,4096,65536}
  batches::producer_ids_shifted::{200,4096,65536}
  batches::producer_ids_shifted_mixed
  log::append::{200,1024,4096}
  log::index_search::{100,10000,100000}
  log::fetch_answer::{1,100,1000}
)

# Builds a bench and says where it is.
binary() { # its name
  cargo bench -q --bench "$1" --no-run --message-format=json |
    sed -n "s/.*\"name\":\"$1\".*\"executable\":\"\([^\"]*\)\".*/\1/p"
}

collected() { # binary, name, iterations
  valgrind --tool=callgrind --callgrind-out-file=/dev/null "$1" --bench --exact "$2" \
    --sample-count 1 --sample-size "$3" 2>&1 >/dev/null |
    sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}

declare -A binaries
for bench in batches log; do binaries[$bench]=$(binary "$bench"); done
for name in "${benches[@]}"; do
  case $name in *"${1:-}"*) ;; *) continue ;; esac
  binary=${binaries[${name%%::*}]}
  once=$(collected "$binary" "$name" "$iterations")
  twice=$(collected "$binary" "$name" $((2 * iterations)))
  printf '%-40s %10d instructions\n' "$name" $(((twice - once) / iterations))
done
