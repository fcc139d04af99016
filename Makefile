.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# Tools that a target needs are installed here once, and stay when the checkout goes.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/version-package-operator
DENY_VERSION := 0.20.2
DENY := $(shell command -v cargo-deny || echo $(CACHE)/cargo-deny-$(DENY_VERSION)/bin/cargo-deny)
MUTANTS_VERSION := 27.1.0
MUTANTS := $(CACHE)/cargo-mutants-$(MUTANTS_VERSION)/bin/cargo-mutants
# Test programs with times that others at work beside them could spoil, and all others. The world has no times that could be
# spoilt: it fills the cores while the others wait.
BY_THEMSELVES := drain isolation leader mass_deletion schedule
# Those that take long begin first, so that none of them is left alone at the end.
LONG := writes sight tenants audit claims stale_watch guard restart
TOGETHER := $(LONG) $(filter-out $(LONG) $(BY_THEMSELVES) world,$(patsubst tests/%.rs,%,$(patsubst tests/%/main.rs,%,\
	$(wildcard tests/*.rs tests/*/main.rs))))
# It computes where others wait, so it is optimised.
WORLD := cargo test --locked --profile measure --test world
CRDS := cargo run --quiet --locked --bin vpo -- crds

.PHONY: help demo test world soak bugs mutants check bench chart image image-twice lint-workflows generate testplane gitops helm clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: testplane ## watch the main job on a real control plane; KEEP=1 leaves it up
	@./demo/run

test: testplane gitops helm ## run all tests
	cargo test --locked --workspace --no-run --lib --bins $(patsubst %,--test %,$(TOGETHER) $(BY_THEMSELVES))
	$(WORLD) --no-run
	@# They mostly wait, so four at a time, whatever the number of cores.
	@$(MAKE) --no-print-directory --jobs=4 --output-sync=target test-world test-units $(TOGETHER:%=test-%)
	@$(MAKE) --no-print-directory $(BY_THEMSELVES:%=test-%)

.PHONY: test-units test-world $(TOGETHER:%=test-%) $(BY_THEMSELVES:%=test-%)
test-units:
	cargo test --locked --workspace --lib --bins
	cargo test --locked --workspace --doc
test-world:
	nice -n 19 $(WORLD)

$(TOGETHER:%=test-%) $(BY_THEMSELVES:%=test-%): test-%:
	cargo test --locked --test $*

# The tests of these hardly do anything but wait, on a control plane that they share or on one each.
test-writes test-sight test-tenants test-audit test-claims: export RUST_TEST_THREADS = 4

# Nothing is built any more, so no share of make's jobs is needed.
test-%: export MAKEFLAGS =

world: ## play the history of a seed in simulated time, and print all that was asked and said; SEED=7
	WORLD_SEEDS=$(or $(SEED),0) $(WORLD) --quiet -- --exact determinism::replay --ignored --nocapture

soak: ## play histories by chance for MINUTES=10, from a seed by chance or SEED=7 on
	WORLD_MINUTES=$(or $(MINUTES),10) $(if $(SEED),WORLD_SEED=$(SEED)) $(WORLD) --quiet -- --exact soak::soak --ignored --nocapture

bugs: ## put known defects in, one by one, and say how soon the world finds each
	@tests/world/bugs/run $(BUGS)

mutants: $(MUTANTS) ## change what judges, COUNT=150 times by chance of SEED=1, and say which changes no test notices
	@PATH=$(dir $(MUTANTS)):$$PATH SEED=$(SEED) COUNT=$(COUNT) tests/mutants/run

check: $(DENY) ## look for anything unformatted, unclean, undocumented, forbidden or out of date
	cargo fmt --all --check
	@test -z "$$(gofmt -l tests)" || { gofmt -d tests; exit 1; }
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items
	$(DENY) --locked check bans licenses sources
	cargo test --locked --test generated
	@CHECK=1 tests/world/bugs/run

bench: testplane ## measure what the design promises, in a release build; QUICK=1 leaves out what takes minutes, BENCH names some
	@echo "building the release program and what measures it: about 10 minutes the first time ..."
	cargo build --locked --release --bin vpo
	@# A profile of its own, so that the program which is measured isn't built over.
	VPO_PROGRAM=$(CURDIR)/target/release/vpo cargo bench --locked --profile measure --bench promises -- $(BENCH)

chart: ## lint and package the Helm chart into dist/, push it to a registry on this machine and pull it again
	@tests/chart/run

image: ## build the image of both platforms into dist/image, with SBOM and checksums (Linux, root); PLATFORMS=linux/amd64 builds one
	@image/build $(PLATFORMS)

image-twice: ## the same, then again from a copy in another folder, and compare the digests
	@image/build --twice $(PLATFORMS)

lint-workflows: ## lint the workflow of a release
	@image/lint

generate: ## write crds/ from the types, and the chart's copy of it
	@mkdir -p crds
	@$(CRDS) | awk '/^---$$/ { text = ""; file = ""; next } \
		{ text = text $$0 "\n" } \
		!file && /^  name: / { file = "crds/" $$2 ".yaml" } \
		file { printf "%s", text > file; text = "" }'
	@cp crds/*.yaml charts/version-package-operator/crds/
	@ls crds/*.yaml charts/version-package-operator/crds/*.yaml

testplane: ## build etcd, kube-apiserver, kube-controller-manager and kubectl, once
	@tests/build-tool starter >/dev/null
	@tests/build-tool control-plane

gitops: ## build what Git tools make of an object, once
	@tests/build-tool gitops

helm: ## build helm, once
	@tests/build-tool helm

clean: ## remove what was built in the checkout
	cargo clean
	@echo "what was built outside the checkout stays in $(CACHE)"

$(CACHE)/cargo-deny-$(DENY_VERSION)/bin/cargo-deny:
	@echo "installing cargo-deny $(DENY_VERSION) into $(CACHE): about 5 minutes the first time ..."
	cargo install --locked cargo-deny --version $(DENY_VERSION) --root $(CACHE)/cargo-deny-$(DENY_VERSION)

$(MUTANTS):
	@echo "installing cargo-mutants $(MUTANTS_VERSION) into $(CACHE): about 5 minutes the first time ..."
	cargo install --locked cargo-mutants --version $(MUTANTS_VERSION) --root $(CACHE)/cargo-mutants-$(MUTANTS_VERSION)
