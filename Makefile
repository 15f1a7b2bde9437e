# Two commands: `make run` runs the hub with a demo, `make test` tests it. Both install nothing on the system; where something
# is missing they print the one command that installs it.

CARGO ?= cargo
PROFILE ?= release
LISTEN ?= 127.0.0.1:8080
DATA ?= data

.PHONY: help tools tools-to-try run serve build console lint-console test-console test test-cluster test-browser lint lint-deploy check clean

# The console is built where node is new enough. Elsewhere an existing console/dist is taken, as a release brings one; without
# either, the hub shows its built-in page.
NODE_OK := $(shell command -v npm >/dev/null 2>&1 && node -e 'const [a,b]=process.versions.node.split(".").map(Number);process.exit(a>22||(a==22&&b>=12)||(a==20&&b>=19)?0:1)' 2>/dev/null && echo yes)
NPM := npm --prefix console
CONSOLE_SOURCES := $(shell find console/src console/widget console/public -type f 2>/dev/null) console/index.html \
    console/package.json console/vite.config.ts console/vite.widget.config.ts console/tools/compressed.ts

help: ## Shows this list.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 20

tools:
	@deploy/check-tools.sh

tools-to-try:
	@deploy/check-tools.sh --without-cluster

ifeq ($(NODE_OK),yes)
console: console/dist/index.html ## Builds the web console, which `build` puts into the binary.
else
console:
	@test -f console/dist/index.html \
	    && echo "No usable node (20.19 or newer): the console is taken from console/dist." \
	    || echo "No usable node (20.19 or newer): the hub will show its built-in page instead of the console."
endif

console/node_modules/.stamp: console/package.json console/package-lock.json
	npm --prefix console ci --no-audit --no-fund
	@touch $@

console/dist/index.html: $(CONSOLE_SOURCES) console/node_modules/.stamp
	$(NPM) run build

lint-console: console/node_modules/.stamp ## Checks the console: types, style, that its API types are those of docs/openapi.json.
	$(NPM) run check
	$(NPM) run lint
	npm --prefix console/tools/gen ci --no-audit --no-fund
	npm --prefix console/tools/gen run check

test-console: console/dist/index.html ## Tests the console, and weighs what the inbox loads.
	$(NPM) test
	$(NPM) run size

build: tools console ## Builds the hub and the load tests, optimised.
	$(CARGO) build --locked --profile $(PROFILE) --bin saler --bin saler-load

# The first build is what a newcomer waits for: without the engines of a cluster, which the demo has no servers for.
run: tools-to-try console ## Runs the hub on http://127.0.0.1:8080 with a demo workspace that is alive.
	$(CARGO) build --locked --profile quick --no-default-features --bin saler --bin saler-load
	@deploy/run-demo.sh target/quick "$(LISTEN)" "$(DATA)"

serve: build ## Runs the hub alone.
	target/$(PROFILE)/saler serve

test: tools ## Runs every test.
	$(CARGO) test --locked --workspace

test-cluster: tools ## Runs the contract suites and the end-to-end tests on a real Kafka and a real CQL server.
	@CARGO="$(CARGO)" deploy/test-cluster.sh

test-browser: tools console ## Tests the console in Chromium, against a real hub with the simulated provider.
	$(CARGO) build --locked --bin saler --bin saler-load
	npm --prefix console/tools/e2e ci --no-audit --no-fund
	npm --prefix console/tools/e2e test

lint: tools ## Checks format, lints and house rules.
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked --workspace --no-default-features -- -D warnings
	$(CARGO) run --locked -q -p xtask -- tidy

lint-deploy: ## Checks the image, the compose file, the alerts and the dashboard, with what tools there are.
	@deploy/lint.sh

check: lint lint-deploy test ## Everything that CI checks.

clean: ## Removes build output and the demo's data.
	$(CARGO) clean
	rm -rf data
