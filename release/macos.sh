#!/bin/sh
# Builds the program for macOS, on macOS; prints the path of what was built.
#   release/macos.sh ARCH    ARCH is amd64 or arm64
set -eu

case ${1:-} in
amd64) target=x86_64-apple-darwin ;;
arm64) target=aarch64-apple-darwin ;;
*) echo "usage: release/macos.sh ARCH (amd64, arm64)" >&2 && exit 64 ;;
esac
cd "$(dirname "$0")/.."
[ -d "$(rustc --print sysroot)/lib/rustlib/$target" ] || rustup target add "$target" >&2
# The oldest macOS that Rust's standard library runs on, for either processor.
export MACOSX_DEPLOYMENT_TARGET=11.0
export RUSTFLAGS="--remap-path-prefix=$PWD=. --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo"
cargo build --locked --release --target "$target" --package metrics-server-doctor >&2
echo "${CARGO_TARGET_DIR:-target}/$target/release/metrics-server-doctor"
