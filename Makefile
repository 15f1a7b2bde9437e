# Two commands: `make run` runs the hub with a demo, `make test` tests it. Both install nothing on the system; where something
# is missing they print the one command that installs it.

CARGO ?= cargo
PROFILE ?= release
LISTEN ?= 127.0.0.1:8080
DATA ?= data

.PHONY: help run serve build test test-cluster lint lint-deploy check clean tools

help: ## Shows this list.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 20

tools:
	@deploy/check-tools.sh

build: tools ## Builds the hub and the load tests, optimised.
	$(CARGO) build --locked --profile $(PROFILE) --bin saler --bin saler-load

run: build ## Runs the hub on http://127.0.0.1:8080 with a demo workspace that is alive.
	@deploy/run-demo.sh target/$(PROFILE) "$(LISTEN)" "$(DATA)"

serve: build ## Runs the hub alone.
	target/$(PROFILE)/saler serve

test: tools ## Runs every test.
	$(CARGO) test --locked --workspace

test-cluster: tools ## Runs the contract suites and the end-to-end tests on a real Kafka and a real CQL server.
	@CARGO="$(CARGO)" deploy/test-cluster.sh

lint: tools ## Checks format, lints and house rules.
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) run --locked -q -p xtask -- tidy

lint-deploy: ## Checks the image, the compose file, the alerts and the dashboard, with what tools there are.
	@deploy/lint.sh

check: lint lint-deploy test ## Everything that CI checks.

clean: ## Removes build output and the demo's data.
	$(CARGO) clean
	rm -rf data
