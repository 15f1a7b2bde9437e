#!/usr/bin/env bash
# The contract suites and the end-to-end tests on a real Kafka broker and a real CQL server.
#
# Starts both (deploy/test-servers.sh), runs the tests with their addresses in SALER_TEST_KAFKA and SALER_TEST_CQL, and stops
# what it started, whatever comes of the tests. Servers that these variables already name are used as they are. Arguments go
# to `cargo test`, such as `-p storage -- kafka`. Without any, servers that ask for TLS and a password follow, with the tests of
# that.
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

if [ $# -gt 0 ]; then
    "${CARGO:-cargo}" test --locked --no-fail-fast "$@" </dev/null
    exit
fi
# The whole workspace, as `make test` has it: a part of it would be built with other features, and so anew.
failed=no
"${CARGO:-cargo}" test --locked --no-fail-fast --workspace --test it </dev/null || failed=yes

if [ -z "${SALER_TEST_SECURED_KAFKA:-}" ] || [ -z "${SALER_TEST_SECURED_CQL:-}" ]; then
    if ! deploy/test-servers.sh tools; then
        echo "skipped: Kafka and CQL with TLS and passwords, which this machine cannot start"
        [ "$failed" = no ]
        exit
    fi
    if [ "${running:-yes}" = no ]; then deploy/test-servers.sh stop; fi
    # Beside servers that go on there are other ports.
    export SALER_TEST_KAFKA_PORT=19292 SALER_TEST_KAFKA_CONTROLLER_PORT=19392
    export SALER_TEST_CQL_PORT=19242 SALER_TEST_CQL_STORAGE_PORT=17200
    folder=${TMPDIR:-/tmp}/saler-secured-test-servers-$(id -u)
    trap 'deploy/test-servers.sh stop "$folder"' EXIT
    exports=$(deploy/test-servers.sh start --secured "$folder")
    eval "$exports"
fi
export SALER_TEST_SECURED_KAFKA SALER_TEST_SECURED_CQL SALER_TEST_SECURED_TLS
echo "TLS and passwords are tested on Kafka at $SALER_TEST_SECURED_KAFKA and CQL at $SALER_TEST_SECURED_CQL"
"${CARGO:-cargo}" test --locked --no-fail-fast --workspace --test it secured </dev/null || failed=yes
[ "$failed" = no ]
