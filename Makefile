# The one place where commands are written; CI runs the same.
# `make demo` runs the main job without a cluster, `make test` runs everything.

TOOLS := $(CURDIR)/.tools
CARGO_DENY_VERSION := 0.20.2
CARGO_DENY := $(TOOLS)/bin/cargo-deny
KUBERNETES_VALIDATE_PINS := tests/components/kubernetes-validate.txt
KUBERNETES_VALIDATE := $(TOOLS)/kubernetes-validate
# The crates of the image's platforms, for a build without a network.
IMAGE_TARGETS := $(foreach libc,gnu musl,$(foreach cpu,x86_64 aarch64,--target $(cpu)-unknown-linux-$(libc)))

BROWSER := tests/browser

# Builds and fetches what tests read; two at a time never make the same.
COMPONENTS := cargo run --locked --quiet -p components --
FAST_COMPONENTS := promtool helm kubectl krew validate-krew-manifest actionlint
FAST_TESTS := architecture cases command_line cycle dashboards lookalikes manifests meanwhile packaging page runbooks

.PHONY: help demo test nightly test-fast test-alerts test-cluster test-alerting test-deploy test-image test-browser measure lint deny docs components cluster cluster-down requirements kubernetes-validate

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Serve the sample cluster's failures on http://localhost:19102 (no cluster needed)
	cargo run --locked -- demo

# The quick tests and the compiler leave time to build in, above all while modules are fetched.
test: requirements ## All tests that need no browser, the real clusters included
	@tests/components/meanwhile.sh $(MAKE) --no-print-directory test-fast
	@$(MAKE) --no-print-directory test-alerts test-cluster test-deploy

nightly: test-image test-cluster test-alerting test-browser ## What is slow and rarely breaks, beside what CI runs on every change
nightly: ROWS := -- --night

test-fast: kubernetes-validate ## Tests that need no cluster (the few real programs that they ask are built once)
	@$(COMPONENTS) $(FAST_COMPONENTS)
	cargo test --locked -p metrics-server-doctor -p testbed -p components --lib --bins $(FAST_TESTS:%=--test %)
	cargo test --locked --quiet --test cluster -- --table

test-alerts: ## Alert rules, as promtool, amtool and vmalert read them, each broken in many small ways too
	@$(COMPONENTS) promtool amtool vmalert jsonnet
	cargo test --locked --test alerts

test-cluster: components ## Tests on a real control plane
	cargo test --locked -p metrics-server-doctor -p testbed --test isolation --test dashboard_queries
	cargo test --locked --test cluster $(ROWS)

test-alerting: components ## From fault to page, and every query of the dashboards: Prometheus and Alertmanager on real control planes
	cargo test --locked --test alerting

test-image: components ## Build the image and run it as a pod runs it (needs root; skipped with a message where it cannot be)
	@$(COMPONENTS) buildkitd buildctl
	@tests/image/dockerd.sh || true # of which the test says that it is not there
	@RUSTFLAGS='-C target-feature=+crt-static' cargo fetch --locked $(IMAGE_TARGETS)
	cargo test --locked --test image

measure: components ## What the program that ships costs on 3 nodes, and on 500 nodes, 4,000 pods and 300 autoscalers
	doctor=$$(release/build.sh $$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/') gnu) && \
		cargo run --locked --quiet -p testbed -- measure --doctor $$doctor --nodes 3 --pods 30 --autoscalers 3 && \
		cargo run --locked --quiet -p testbed -- measure --doctor $$doctor

test-deploy: components ## Chart and kustomize on a real API server
	cargo test --locked --test authorizer --test deploy

test-browser: components $(BROWSER)/node_modules/.package-lock.json ## Dashboards and status page in a real browser; PICTURES=1 renews docs/images
	cargo test --locked --no-run --test dashboard_queries # which builds the program too
	cd $(BROWSER) && npx vite build && node run.mjs $(if $(PICTURES),--pictures $(CURDIR)/docs/images)

$(BROWSER)/node_modules/.package-lock.json: $(BROWSER)/package-lock.json
	@$(BROWSER)/requirements.sh
	cd $(BROWSER) && npm ci --legacy-peer-deps --no-audit --no-fund --loglevel=error
	@touch $@

components: requirements kubernetes-validate ## Build and fetch what tests read: real programs and files of others (once, into .components)
	@$(COMPONENTS)

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
	cargo install --debug --locked --root $(TOOLS) cargo-deny --version $(CARGO_DENY_VERSION) # which looks for a second and would be optimized for minutes

kubernetes-validate: $(KUBERNETES_VALIDATE)/complete

# Its scripts name the folder that they are made in; what tests find is a link, made when all is there.
$(KUBERNETES_VALIDATE)/complete: $(KUBERNETES_VALIDATE_PINS)
	@rm -rf $(KUBERNETES_VALIDATE)
	python3 -m venv --clear $(KUBERNETES_VALIDATE)-packages
	$(KUBERNETES_VALIDATE)-packages/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $(KUBERNETES_VALIDATE)-packages/complete
	@ln -s kubernetes-validate-packages $(KUBERNETES_VALIDATE)
