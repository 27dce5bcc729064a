#!/bin/sh
# Builds the image with the arguments that tell where it comes from.
#   release/image.sh [FLAGS of docker build]    for example: --platform linux/amd64,linux/arm64 --push
# $IMAGE is its name, metrics-server-doctor unless set; the version is its tag. $DOCKER_BUILD is the command to build with, `docker buildx build` unless set.
set -eu

cd "$(dirname "$0")/.."
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
# The commit's time, not that of the build, so that the same commit gives the same labels.
created=$(TZ=UTC git log -1 --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ 2>/dev/null || echo 1970-01-01T00:00:00Z)
# shellcheck disable=SC2086 # a command of several words
exec ${DOCKER_BUILD:-docker buildx build} \
    --build-arg "VERSION=$version" --build-arg "REVISION=$revision" --build-arg "CREATED=$created" \
    --tag "${IMAGE:-metrics-server-doctor}:$version" "$@" .
