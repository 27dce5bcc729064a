#!/bin/sh
# Prints what the program is made of for a platform, as CycloneDX 1.5 in JSON: the crates that cargo builds for it, with the checksums
# that Cargo.lock pins. What runs only while it is built (build scripts, procedural macros) has scope `excluded`.
#   release/sbom.sh [ARCH [LIBC]]    as release/build.sh has them
# The same commit gives the same bytes. cargo-cyclonedx names crates that features of the tests bring, and leaves out others.
set -eu

architecture=${1:-amd64} libc=${2:-musl}
case $architecture in
amd64) cpu=x86_64 ;;
arm64) cpu=aarch64 ;;
*) echo "release/sbom.sh: unknown architecture $architecture: amd64, arm64" >&2 && exit 64 ;;
esac
case $libc in
musl | gnu) ;;
*) echo "release/sbom.sh: unknown C library $libc: musl, gnu" >&2 && exit 64 ;;
esac
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# As the build has it: the allocator belongs to static programs alone.
export RUSTFLAGS='-C target-feature=+crt-static'
crates() {
    cargo tree --quiet --locked --package metrics-server-doctor --target "$cpu-unknown-linux-$libc" --prefix none --edges "$1" \
        --format '{p}|{l}' >"$work/tree"
    # name, version, licence; the program itself has a path behind its version.
    sed -n 's/^\([^ ]*\) v\([^ |]*\)[^|]*|\(.*\)$/\1 \2 \3/p' "$work/tree" | grep -v '^metrics-server-doctor ' |
        sed 's/ (\*)$//; s,\([A-Za-z0-9.]\)/\([A-Za-z]\),\1 OR \2,g' | LC_ALL=C sort -u
}
crates normal,build >"$work/built"
crates normal,no-proc-macro | cut -d ' ' -f 1,2 >"$work/linked"
awk '/^name = / { name = $3 } /^version = / { version = $3 } /^checksum = / { print name, version, $3 }' Cargo.lock |
    tr -d '"' >"$work/checksums"
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)

awk -v version="$version" '
    FILENAME ~ /checksums$/ { checksum[$1 " " $2] = $3; next }
    FILENAME ~ /linked$/ { linked[$1 " " $2] = 1; next }
    FNR == 1 {
        print "{\n  \"bomFormat\": \"CycloneDX\",\n  \"specVersion\": \"1.5\",\n  \"version\": 1,"
        print "  \"metadata\": {\"component\": {\"type\": \"application\", \"bom-ref\": \"program\", \"name\": \"metrics-server-doctor\", \"version\": \"" version "\", \"licenses\": [{\"expression\": \"Apache-2.0\"}]}},"
        print "  \"components\": ["
    }
    {
        licence = $0; sub(/^[^ ]* [^ ]* /, "", licence)
        purl = "pkg:cargo/" $1 "@" $2; gsub(/\+/, "%2B", purl)
        if (!(($1 " " $2) in checksum)) { print "release/sbom.sh: no checksum of " $1 " " $2 >"/dev/stderr"; failed = 1; exit 70 }
        printf "%s    {\"type\": \"library\", \"bom-ref\": \"%s\", \"name\": \"%s\", \"version\": \"%s\", \"purl\": \"%s\", \"scope\": \"%s\", \"licenses\": [{\"expression\": \"%s\"}], \"hashes\": [{\"alg\": \"SHA-256\", \"content\": \"%s\"}]}",
            (FNR == 1 ? "" : ",\n"), purl, $1, $2, purl, (($1 " " $2) in linked ? "required" : "excluded"), licence, checksum[$1 " " $2]
    }
    END { if (!failed) print "\n  ]\n}" }' "$work/checksums" "$work/linked" "$work/built"
