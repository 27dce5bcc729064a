#!/bin/sh
# Packs all files of a release: an archive for each platform, krew's manifest, what each program is made of, and the sums of all.
#   release/pack.sh PROGRAMS URL FOLDER    PROGRAMS holds SYSTEM_ARCH/metrics-server-doctor, such as linux_amd64, linux_arm64,
#                                          darwin_amd64, darwin_arm64; URL is where FOLDER's files will be
# The same programs give the same bytes. Pages and completions are written by the program of the machine that packs.
set -eu

[ $# = 3 ] || { echo "usage: release/pack.sh PROGRAMS URL FOLDER" >&2; exit 64; }
programs=$1 url=$2 folder=$3
root=$(cd "$(dirname "$0")/.." && pwd)
version=v$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml" | head -n 1)
native=$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
export NATIVE_BINARY="${NATIVE_BINARY:-$programs/linux_$native/metrics-server-doctor}"

[ -x "$NATIVE_BINARY" ] || { echo "release/pack.sh: $NATIVE_BINARY does not run here; set NATIVE_BINARY" >&2; exit 66; }
mkdir -p "$folder"
for platform in linux_amd64 linux_arm64 darwin_amd64 darwin_arm64; do
    program=$programs/$platform/metrics-server-doctor
    [ -f "$program" ] || { echo "release/pack.sh: no $program" >&2; exit 66; }
    # What was passed through an archive of CI has lost this.
    chmod 755 "$program"
    "$root/release/archive.sh" "$program" "${platform#*_}" "$folder" "${platform%_*}"
done
"$root/release/krew.sh" "$folder" "$url" >"$folder/metrics-server-doctor.yaml"
for architecture in amd64 arm64; do
    "$root/release/sbom.sh" $architecture >"$folder/metrics-server-doctor_${version}_linux_$architecture.cdx.json"
done
(cd "$folder" && sha256sum metrics-server-doctor* >checksums.txt)
