#!/bin/sh
# Packs the chart for a registry: with the image that it is released with, and what Artifact Hub shows.
#   release/chart.sh SOURCE IMAGE FOLDER    SOURCE is the address of the repository, such as https://github.com/OWNER/metrics-server-doctor,
#                                           IMAGE that of the image without tag, such as ghcr.io/OWNER/metrics-server-doctor
# $HELM is the program, `helm` unless set. Prints the path of the archive; `helm push ARCHIVE oci://REGISTRY` publishes it.
set -eu

[ $# = 3 ] || { echo "usage: release/chart.sh SOURCE IMAGE FOLDER" >&2; exit 64; }
source=${1%/} image=$2 folder=$3
case $source in
https://?*/?*) ;;
*) echo "release/chart.sh: SOURCE is no https:// address of a repository: $source" >&2 && exit 64 ;;
esac
registry=${image%%/*} repository=${image#*/}
case $image in
*.*/?* | *:*/?*) ;;
*) echo "release/chart.sh: IMAGE has no registry before its name: $image" >&2 && exit 64 ;;
esac
root=$(cd "$(dirname "$0")/.." && pwd)
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml" | head -n 1)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chart=$work/metrics-server-doctor
cp -R "$root/deploy/helm/metrics-server-doctor" "$chart"
sed -e "s|^  registry: \"\"\$|  registry: $registry|" -e "s|^  repository: metrics-server-doctor\$|  repository: $repository|" \
    "$chart/values.yaml" >"$work/values.yaml"
mv "$work/values.yaml" "$chart/values.yaml"

# The newest section of the changelog, each entry with the kind that its heading names.
changes() {
    awk '
        function tell() {
            if (entry == "") return
            gsub(/\\/, "\\\\", entry); gsub(/"/, "\\\"", entry)
            printf "    - kind: %s\n      description: \"%s\"\n", kind, entry
            entry = ""
        }
        /^## / { tell(); if (++sections > 1) exit }
        /^### / { tell(); kind = tolower($2); next }
        sections != 1 || kind !~ /^(added|changed|deprecated|removed|fixed|security)$/ { next }
        /^- / { tell(); entry = substr($0, 3); next }
        /^  / && entry != "" { sub(/^ +/, ""); entry = entry " " $0; next }
        { tell() }
        END { tell() }' "$root/CHANGELOG.md"
}
{
    sed -e '/^# home, sources/d' -e "/^  - name: metrics-server-doctor maintainers\$/a\\
    url: $source" "$root/deploy/helm/metrics-server-doctor/Chart.yaml"
    printf '  artifacthub.io/images: |\n    - name: metrics-server-doctor\n      image: %s:%s\n      platforms: [linux/amd64, linux/arm64]\n' "$image" "$version"
    printf '  artifacthub.io/links: |\n    - name: Runbooks\n      url: %s/blob/v%s/docs/runbooks/README.md\n' "$source" "$version"
    printf '  artifacthub.io/changes: |\n'
    changes
    printf 'home: %s\nsources:\n  - %s\n' "$source" "$source"
} >"$chart/Chart.yaml"
"${HELM:-helm}" lint --strict "$chart" >&2
mkdir -p "$folder"
"${HELM:-helm}" package "$chart" --destination "$folder" >&2
echo "$folder/metrics-server-doctor-$version.tgz"
