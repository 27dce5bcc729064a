#!/bin/sh
# Puts dockerd and what it needs into .components/docker, unpacked from Debian's packages: nothing is installed on the
# machine and no daemon of it is touched.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
folder=$root/.components/docker
[ ! -e "$folder/complete" ] || exit 0
command -v apt-get >/dev/null && command -v dpkg >/dev/null || { echo "no apt-get to get dockerd with" >&2 && exit 69; }
# Renamed only when whole.
unfinished=$folder.unfinished
rm -rf "$unfinished"
mkdir -p "$unfinished/packages"
cd "$unfinished/packages"
packages="docker.io containerd runc libseccomp2 libdevmapper1.02.1 libapparmor1"
# shellcheck disable=SC2086 # one word a package
apt-get download --quiet --quiet $packages >&2 ||
    { apt-get update --quiet --quiet >&2 && apt-get download --quiet --quiet $packages >&2; }
for package in *.deb; do
    dpkg --extract "$package" "$unfinished"
done
: >"$unfinished/complete"
rm -rf "$folder"
mv "$unfinished" "$folder"
