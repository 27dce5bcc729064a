#!/bin/sh
# Prints what the program is made of for a platform, as CycloneDX in JSON: the crates that Cargo.lock pins.
#   release/sbom.sh [ARCH [LIBC]]    as release/build.sh has them
# Needs `cargo install cargo-cyclonedx`.
set -eu

architecture=${1:-amd64} libc=${2:-musl}
case $architecture in
amd64) cpu=x86_64 ;;
arm64) cpu=aarch64 ;;
*) echo "release/sbom.sh: unknown architecture $architecture: amd64, arm64" >&2 && exit 64 ;;
esac
cargo cyclonedx --version >/dev/null 2>&1 || { echo "release/sbom.sh: missing: cargo-cyclonedx" >&2 && exit 69; }
cd "$(dirname "$0")/.."
name=metrics-server-doctor-sbom
# One file a crate of the workspace, beside its manifest.
trap 'rm -f "$name.json" "tests/bed/$name.json"' EXIT
# As the build has it: the allocator belongs to static programs alone.
RUSTFLAGS='-C target-feature=+crt-static' cargo cyclonedx --quiet --format json --target "$cpu-unknown-linux-$libc" \
    --override-filename "$name" >&2
cat "$name.json"
