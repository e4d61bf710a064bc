# Everbeat: the commands for developers. The work is done by scripts/ and Cargo.
# The first target that needs a missing tool installs it.

SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help run build watch test fmt lint simulate faults fuzz mutants chaos cluster attack autobahn api audit bench dist lab

# So the tools that scripts/setup.sh installs are found, also if rustup did not set up the PATH.
CARGO_HOME ?= $(HOME)/.cargo
export PATH := $(CARGO_HOME)/bin:$(PATH)

help: ## this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | awk -F '\t' '{ printf "  make %-9s %s\n", $$1, $$2 }'

run: build ## build for production and start the server (make run ARGS="...")
	target/release/everbeat $(ARGS)

lab: build ## a server whose pages may kill, drain and stall it, with a quick heartbeat; it is started again
	@scripts/lab.sh $(ARGS)

build: ## build the server and the page for production
	@scripts/setup.sh build
	cargo leptos build --release --precompress

dist: build ## one file with the page inside: dist/everbeat
	@scripts/dist.sh

watch: ## start the server, rebuild and reload at every change
	@scripts/setup.sh build
	cargo leptos watch

test: ## every check that a change must pass, as in CI
	@scripts/setup.sh test
	@scripts/test.sh

simulate: ## virtual clients and servers under faults (make simulate SEEDS=10000 FROM=1, SEED=7 for one)
	cargo run --locked --release -p simulation -- $(if $(SEEDS),--seeds $(SEEDS)) $(if $(FROM),--from $(FROM)) $(if $(SEED),--seed $(SEED))

faults: ## put deliberate faults into a copy of the core, and see each of them caught (make faults ARGS=NAME)
	@scripts/faults.sh $(ARGS)

mutants: ## change the code in small ways, and see the tests notice (make mutants ARGS=protocol; hours)
	@scripts/mutants.sh $(ARGS)

fmt: ## format the code
	cargo fmt --all
	cargo fmt --manifest-path fuzz/Cargo.toml
	cargo fmt --manifest-path bench/peers/rust/Cargo.toml

lint: ## only the formatting check and the lints, of all that `make test` does
	@scripts/setup.sh build
	@scripts/test.sh lint

bench: build ## measure it beside its peers, and write bench/RESULTS.md (make bench ONLY=idle; all of it: two hours)
	@scripts/setup.sh test
	@scripts/bench.sh $(ONLY) $(ARGS)

fuzz: ## random input for the core, a minute per target (make fuzz TARGET=codec TIME=600)
	@scripts/setup.sh fuzz
	@scripts/fuzz.sh "$(TARGET)" "$(TIME)"

audit: ## known vulnerabilities of dependencies (needs the network); their licences and sources
	@scripts/setup.sh audit
	cargo deny --locked check
	cargo audit

autobahn: build ## the Autobahn WebSocket test suite against the real server
	@scripts/autobahn.sh

api: build ## requests of all kinds against the real server's HTTP API, by its own document (schemathesis)
	@scripts/api-fuzz.sh $(ARGS)

chaos: build ## crash it under 200 clients, then compare them with its log (make chaos ARGS="kill --seed 7")
	@scripts/setup.sh test
	cargo run --locked --release -p bench -- chaos $(ARGS)

cluster: build ## three NATS servers and three nodes on this machine, each with a page (make cluster ARGS="--tutorial off")
	@scripts/nats.sh
	@scripts/cluster.sh $(ARGS)

attack: build ## do to it what one hostile guest can do, and measure (make attack ARGS="history --quick")
	cargo run --locked --release -p bench -- attack $(ARGS)
