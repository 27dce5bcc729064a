#!/bin/sh
# Writes to standard output an archive that stands in for the official Rust image where no registry of images can be
# reached: this machine's compiler, its C compiler, and the crates of Cargo.lock.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
cargo_home=${CARGO_HOME:-$HOME/.cargo}
sysroot=$(rustc --print sysroot)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
    --no-enhances bash dash coreutils sed grep findutils gcc libc6-dev |
    sed -n '/^[a-z0-9]/p' | sort -u >"$work/packages"
# Names as today's Debian lays them out, each once.
# shellcheck disable=SC2046 # one word a package
dpkg --listfiles $(cat "$work/packages") | sed 's,^/\(s\?bin\|lib\|lib64\)/,/usr/\1/,' |
    sed -n '\,^/usr/\(s\?bin\|lib\|lib64\|include\)/,p' | sort -u >"$work/names"
while read -r name; do
    if [ -L "$name" ] || [ -f "$name" ]; then echo "$name"; fi
done <"$work/names" >"$work/files"

mkdir -p "$work/cargo/registry/cache" "$work/tmp"
cp --recursive "$cargo_home/registry/index" "$work/cargo/registry/index"
for registry in "$cargo_home"/registry/cache/*; do
    copy=$work/cargo/registry/cache/$(basename "$registry")
    mkdir "$copy"
    sed -n 's/^name = "\(.*\)"$/\1/p; s/^version = "\(.*\)"$/\1/p' "$root/Cargo.lock" | paste --delimiters=- - - |
        while read -r crate; do
            if [ -f "$registry/$crate.crate" ]; then cp "$registry/$crate.crate" "$copy/"; fi
        done
done
chmod 1777 "$work/tmp"
for folder in bin sbin lib lib64; do
    ln -s "usr/$folder" "$work/$folder"
done

tar --create --file=- --absolute-names --files-from="$work/files" \
    --transform="s,^$sysroot,usr/local/rust,rSH" --transform="s,^$work/cargo,usr/local/cargo,rSH" \
    --transform="s,^$work/,,rSH" --transform='s,^/,,rSH' \
    "$work/bin" "$work/sbin" "$work/lib" "$work/lib64" "$work/tmp" \
    "$sysroot/bin/cargo" "$sysroot/bin/rustc" "$sysroot/lib" "$work/cargo"
