# The one place where commands are written; CI runs the same.
# `make demo` runs the main job without a cluster, `make test` runs everything.

TOOLS := $(CURDIR)/.tools
CARGO_DENY_VERSION := 0.20.2
CARGO_DENY := $(TOOLS)/bin/cargo-deny
# The crates of the image's platforms, for a build without a network.
IMAGE_TARGETS := $(foreach libc,gnu musl,$(foreach cpu,x86_64 aarch64,--target $(cpu)-unknown-linux-$(libc)))

.PHONY: help demo test test-fast test-cluster test-image lint deny docs components cluster cluster-down requirements

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Serve the sample cluster's failures on http://localhost:19102 (no cluster needed)
	cargo run --locked -- demo

test: test-fast test-cluster ## All tests, the real cluster included

test-fast: ## Tests that need no cluster (promtool and kubectl are built for them once)
	@cargo run --locked --quiet -p testbed -- build promtool kubectl
	cargo test --locked -p metrics-server-doctor --lib --bins --test architecture --test runbooks --test page --test packaging --test command_line

test-cluster: components ## Tests on a real control plane
	cargo test --locked -p testbed
	cargo test --locked --test cluster

test-image: components ## Build the image and run it as a pod runs it (needs root; skipped with a message where it cannot be)
	@RUSTFLAGS='-C target-feature=+crt-static' cargo fetch --locked $(IMAGE_TARGETS)
	cargo test --locked --test image

components: requirements ## Build the real components that tests need (once, into .components)
	@cargo run --locked --quiet -p testbed -- build

cluster: components ## Start a real control plane with metrics-server and keep it running
	@cargo run --locked --quiet -p testbed -- up

cluster-down: ## End what `make cluster` started
	@cargo run --locked --quiet -p testbed -- down

requirements:
	@tests/bed/requirements.sh

lint: deny docs ## Format, clippy, licences, documentation
	cargo fmt --all -- --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

docs: ## Rust documentation without warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items

deny: $(CARGO_DENY) ## Licences, bans and sources of dependencies
	$(CARGO_DENY) --locked check licenses bans sources

$(CARGO_DENY):
	cargo install --locked --root $(TOOLS) cargo-deny --version $(CARGO_DENY_VERSION)
