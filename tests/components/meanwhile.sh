#!/usr/bin/env bash
# Runs a command and meanwhile builds the components, behind it in everything; ends when both have. When the command fails the
# building ends too: what is built stays, and what is half built is begun anew the next time.
#   tests/components/meanwhile.sh COMMAND…
set -euo pipefail

cargo build --locked --quiet -p components
# A process group of its own, so that the compilers end with it.
set -m
nice -n 10 cargo run --locked --quiet -p components &
builder=$!
set +m
trap 'kill -TERM -- "-$builder" 2>/dev/null || true' EXIT
"$@"
wait "$builder"
trap - EXIT
