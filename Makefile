# What a developer or a DBA does with this project; `make` lists it.
# PG_CONFIG chooses the server, PG_MAJOR another PostgreSQL than Debian's own.

ifdef PG_CONFIG
export PG_CONFIG
endif
ifdef PG_MAJOR
export PG_MAJOR
endif
ifdef PREFIX
export PREFIX
endif

FUZZ_SECONDS ?= 60
export FUZZ_SECONDS

# Cheap layers first.
LAYERS = check-fmt check-released lint check-deny check-unit check-pg check-security check-docs \
	check-regress check-isolation check-client check-watcher fuzz

TARGETS = help demo install install-watcher test bench fmt lint check-fmt check-released check-deny advisories check-unit \
	check-docs check-pg check-security check-regress check-isolation check-client \
	check-watcher fuzz setup-build setup-demo setup-test setup-bench
.PHONY: $(TARGETS)

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.* ## (.*)/  make \1 @\2/p' $(MAKEFILE_LIST) | column -t -s@

demo: setup-demo ## a tour in a throwaway server
	@scripts/demo

install: ## build and install for the server of PG_CONFIG=/path/to/pg_config
	@scripts/install

install-watcher: ## build and install the watcher under PREFIX=/usr/local
	@scripts/install-watcher

test: setup-test ## all test layers
	@scripts/run-layers $(LAYERS)

bench: setup-bench ## side-by-side benchmarks
	@scripts/bench

fmt: ## format the Rust code
	@cargo fmt --all
	@cargo fmt --manifest-path fuzz/Cargo.toml

check-fmt: ## is the Rust code formatted?
	@scripts/check-fmt

check-released: ## released scripts are frozen
	@cd sql/released && sha256sum --quiet --check SHA256SUMS

lint: setup-test ## clippy and shellcheck
	@scripts/check-lint

check-deny: setup-test ## licenses and origins of the dependencies
	@cargo deny --log-level error check bans licenses sources

advisories: setup-test ## known vulnerabilities of the dependencies (needs the internet)
	@cargo deny check advisories

check-unit: ## unit and property tests, without a server
	@cargo test --quiet --no-default-features
	@cargo test --quiet --package workspace-plugins-watch --lib

check-docs: setup-test ## the documentation builds, its examples and links work
	@scripts/check-docs

check-pg: setup-build ## tests inside the server
	@scripts/check-pg

check-security: setup-test ## pgspot and plpgsql_check
	@scripts/check-security

check-regress: setup-test ## the SQL suite on three PostgreSQL majors
	@scripts/check-regress

check-isolation: setup-build ## specs with several sessions
	@scripts/check-isolation

check-client: setup-build ## tests from outside: many connections, crashes, dumps
	@scripts/check-client

check-watcher: setup-test ## the watcher against real and faulty servers of git
	@scripts/check-watcher

fuzz: setup-test ## fuzz for FUZZ_SECONDS=60
	@scripts/fuzz

setup-build setup-demo setup-test setup-bench:
	@scripts/setup $(@:setup-%=%)
