#!/bin/sh
# Prints the krew manifest for the archives of a release.
#   release/krew.sh FOLDER URL    FOLDER holds metrics-server-doctor_vVERSION_SYSTEM_ARCH.tar.gz, URL is where it will be
set -eu

[ $# = 2 ] || { echo "usage: release/krew.sh FOLDER URL" >&2; exit 64; }
folder=$1 url=$2
root=$(cd "$(dirname "$0")/.." && pwd)
version=v$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml" | head -n 1)

cat <<MANIFEST
apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: metrics-server-doctor
spec:
  version: $version
  homepage: $url
  shortDescription: Find out why metrics-server gives no metrics
  description: |
    Walks the troubleshooting guide of metrics-server once, names one cause and
    what repairs it: kubectl metrics-server-doctor check.
    It only reads. Without access to the cluster it works from what plain
    kubectl has written to disk: check --from FOLDER.
  platforms:
MANIFEST
found=""
for platform in linux_amd64 linux_arm64 darwin_amd64 darwin_arm64; do
    archive=metrics-server-doctor_${version}_$platform.tar.gz
    [ -f "$folder/$archive" ] || continue
    found=yes
    sum=$(sha256sum "$folder/$archive" | cut -d ' ' -f 1)
    cat <<PLATFORM
    - selector:
        matchLabels:
          os: ${platform%_*}
          arch: ${platform#*_}
      uri: $url/$archive
      sha256: $sum
      # krew links it as kubectl-metrics_server_doctor: dashes of a plugin's name are underscores in its file's.
      bin: metrics-server-doctor
      files:
        - from: metrics-server-doctor
          to: .
        - from: LICENSE
          to: .
PLATFORM
done
[ -n "$found" ] || { echo "release/krew.sh: no metrics-server-doctor_${version}_SYSTEM_ARCH.tar.gz in $folder" >&2; exit 66; }
