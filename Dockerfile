# The compiler runs on the platform that builds and crosses to the one that is asked for: nothing is emulated.
#   release/image.sh --platform linux/amd64,linux/arm64
# A release pins the base by digest: --build-arg RUST_IMAGE=docker.io/library/rust:1.95-bookworm@sha256:...
ARG RUST_IMAGE=docker.io/library/rust:1.95-bookworm

FROM --platform=$BUILDPLATFORM ${RUST_IMAGE} AS build
ARG TARGETARCH
# musl, or gnu for a static glibc where the compiler's musl target cannot be had.
ARG LIBC=musl
# The commit: the repository itself is not copied.
ARG REVISION=unknown
WORKDIR /src
# Crates are fetched anew only when the manifests change; cargo wants to see a file for each of their targets.
COPY Cargo.toml Cargo.lock build.rs ./
COPY tests/bed/Cargo.toml tests/bed/
COPY tests/components/Cargo.toml tests/components/
RUN for crate in . tests/bed tests/components; do \
        mkdir -p $crate/src $crate/tests && touch $crate/src/lib.rs $crate/src/main.rs || exit; \
        sed -n '/^\[\[test\]\]$/,/^$/s,^name = "\(.*\)"$,'$crate'/tests/\1.rs,p' $crate/Cargo.toml | xargs --no-run-if-empty touch || exit; \
    done \
    && RUSTFLAGS='-C target-feature=+crt-static' cargo fetch --locked --target x86_64-unknown-linux-gnu --target x86_64-unknown-linux-musl \
        --target aarch64-unknown-linux-gnu --target aarch64-unknown-linux-musl
COPY release/build.sh release/
# The program holds its runbooks.
COPY docs/runbooks docs/runbooks
COPY src src
RUN --mount=type=cache,target=/src/target,sharing=locked \
    INSTALL_MISSING=yes METRICS_SERVER_DOCTOR_BUILD_REVISION="$REVISION" \
    sh -c 'release/build.sh "$TARGETARCH" "$LIBC" >/built && cp "$(cat /built)" /metrics-server-doctor'

FROM scratch
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="metrics-server-doctor" \
      org.opencontainers.image.description="Walks the metrics-server troubleshooting guide without rest and turns every step into Prometheus gauges" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
COPY LICENSE /LICENSE
COPY --from=build /metrics-server-doctor /metrics-server-doctor
# mimalloc would take huge pages where the kernel gives them, and with them twice the memory.
ENV MIMALLOC_ALLOW_THP=0
# A number, so that runAsNonRoot can be checked without a user database.
USER 65532:65532
EXPOSE 19102
ENTRYPOINT ["/metrics-server-doctor"]
