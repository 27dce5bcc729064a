#!/bin/sh
# Builds the static program for Linux on any Linux; prints the path of what was built.
#   release/build.sh [ARCH [LIBC]]    ARCH is amd64 (the default) or arm64, LIBC is musl (the default) or gnu
# musl needs the target of the compiler (rustup target add) and musl's headers (Debian package musl-dev of that
# architecture); gnu links glibc statically. Another architecture than that of this machine needs a cross compiler for C
# (Debian packages gcc-aarch64-linux-gnu, gcc-x86-64-linux-gnu). What is missing is installed where this is a container.
set -eu

architecture=${1:-amd64} libc=${2:-musl}
case $architecture in
amd64) cpu=x86_64 debian_cpu=x86-64 ;;
arm64) cpu=aarch64 debian_cpu=aarch64 ;;
*) echo "release/build.sh: unknown architecture $architecture: amd64, arm64" >&2 && exit 64 ;;
esac
case $libc in
musl | gnu) ;;
*) echo "release/build.sh: unknown C library $libc: musl, gnu" >&2 && exit 64 ;;
esac
cd "$(dirname "$0")/.."
target=$cpu-unknown-linux-$libc
variable=$(echo "$target" | tr - _)
native=$(rustc -vV | sed -n 's/^host: \([^-]*\)-.*/\1/p')
compiler=gcc
[ "$cpu" = "$native" ] || compiler=$cpu-linux-gnu-gcc

install() {
    # Only in an image that is being built: elsewhere it is for the machine's owner to decide.
    [ "${INSTALL_MISSING:-}" = yes ] || { echo "release/build.sh: missing: $*" >&2 && exit 69; }
    [ "$cpu" = "$native" ] || dpkg --add-architecture "$architecture"
    apt-get update --quiet >&2
    apt-get install --yes --quiet --no-install-recommends "$@" >&2
}

[ -d "$(rustc --print sysroot)/lib/rustlib/$target" ] || rustup target add "$target" >&2
command -v $compiler >/dev/null || install gcc-$debian_cpu-linux-gnu libc6-dev-"$architecture"-cross
flags="-C target-feature=+crt-static"
if [ "$libc" = musl ]; then
    headers=/usr/include/$cpu-linux-musl
    [ -d "$headers" ] || install "musl-dev:$architecture"
    # The C parts see musl's headers; crt and libc come with the compiler's own target.
    includes="-nostdinc -isystem $headers -isystem $($compiler -print-file-name=include)"
    # libgcc, which has the helpers of atomics out of line, is not linked.
    [ "$cpu" = x86_64 ] || includes="$includes -mno-outline-atomics"
    export "CFLAGS_$variable=$includes"
fi
export "CC_$variable=$compiler"
export "CARGO_TARGET_$(echo "$variable" | tr '[:lower:]' '[:upper:]')_LINKER=$compiler"
export RUSTFLAGS="$flags --remap-path-prefix=$PWD=. --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo"
cargo build --locked --release --target "$target" --package metrics-server-doctor >&2
echo "${CARGO_TARGET_DIR:-target}/$target/release/metrics-server-doctor"
