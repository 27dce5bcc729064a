#!/bin/sh
# Packs a program, with licence, manual pages and shell completions.
#   release/archive.sh BINARY ARCH FOLDER [SYSTEM]    ARCH is amd64 or arm64, SYSTEM is linux (the default) or darwin
# The same input gives the same bytes. Pages and completions are written by the program of the machine that packs.
set -eu

case $# in 3 | 4) ;; *) echo "usage: release/archive.sh BINARY ARCH FOLDER [SYSTEM]" >&2 && exit 64 ;; esac
binary=$1 architecture=$2 folder=$3 system=${4:-linux}
case $system in linux | darwin) ;; *) echo "release/archive.sh: unknown system $system: linux, darwin" >&2 && exit 64 ;; esac
root=$(cd "$(dirname "$0")/.." && pwd)
version=v$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml" | head -n 1)
native=${NATIVE_BINARY:-$binary}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$binary" "$work/metrics-server-doctor"
cp "$root/LICENSE" "$work/LICENSE"
mkdir "$work/man" "$work/completions"
"$native" manual "$work/man"
for shell in bash zsh fish; do
    "$native" completions "$shell" >"$work/completions/metrics-server-doctor.$shell"
done
mkdir -p "$folder"
tar --create --sort=name --mtime="@${SOURCE_DATE_EPOCH:-0}" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
    --directory="$work" metrics-server-doctor LICENSE man completions |
    gzip --no-name --best >"$folder/metrics-server-doctor_${version}_${system}_$architecture.tar.gz"
