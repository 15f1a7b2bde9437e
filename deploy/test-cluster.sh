#!/usr/bin/env bash
# The contract suites and the end-to-end tests on a real Kafka broker and a real CQL server.
#
# Starts both (deploy/test-servers.sh), runs the tests with their addresses in SALER_TEST_KAFKA and SALER_TEST_CQL, and stops
# what it started, whatever comes of the tests. Servers that these variables already name are used as they are. Arguments go
# to `cargo test`, such as `-p storage -- kafka`.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -z "${SALER_TEST_KAFKA:-}" ] || [ -z "${SALER_TEST_CQL:-}" ]; then
    # A folder of this run's own would meet the same ports: servers that run in the default one are joined, and left running.
    running=no
    if deploy/test-servers.sh status >/dev/null 2>&1; then running=yes; fi
    if [ "$running" = no ]; then trap 'deploy/test-servers.sh stop' EXIT; fi
    exports=$(deploy/test-servers.sh start)
    eval "$exports"
fi
export SALER_TEST_KAFKA SALER_TEST_CQL
echo "The cluster engines are tested on Kafka at $SALER_TEST_KAFKA and CQL at $SALER_TEST_CQL"

# The whole workspace, as `make test` has it: a part of it would be built with other features, and so anew.
if [ $# -eq 0 ]; then set -- --workspace --test it; fi
"${CARGO:-cargo}" test --locked --no-fail-fast "$@" </dev/null
