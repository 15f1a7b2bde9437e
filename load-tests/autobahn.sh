#!/bin/sh
# Runs Autobahn's WebSocket test suite against the hub's own WebSocket code, and fails if a case failed.
#
# The suite needs Python 2.7. Where there is a virtualenv of it:
#   VENV/bin/pip install autobahntestsuite && PATH="VENV/bin:$PATH" load-tests/autobahn.sh
# Cases 9 (limits, performance), 12 and 13 (compression, which the hub does not offer) are left out.
set -eu

command -v wstest >/dev/null 2>&1 || {
    echo "wstest is missing: pip install autobahntestsuite in a virtualenv of Python 2.7, and put its bin folder on PATH" >&2
    exit 2
}
cd "$(dirname "$0")/.."
work=$(mktemp -d)
# The whole workspace's features, so that nothing is built twice.
cargo build --locked --release --example echo
"${CARGO_TARGET_DIR:-target}/release/examples/echo" 127.0.0.1:19001 &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT INT TERM
cat >"$work/spec.json" <<JSON
{"outdir": "$work/report", "servers": [{"agent": "saler", "url": "ws://127.0.0.1:19001/"}],
 "cases": ["*"], "exclude-cases": ["9.*", "12.*", "13.*"], "exclude-agent-cases": {}}
JSON
wstest -m fuzzingclient -s "$work/spec.json"
failed=$(grep -c '"behavior\(Close\)\?": "FAILED"' "$work/report/index.json" || true)
cases=$(grep -c '"behavior":' "$work/report/index.json")
echo "$cases cases, $failed failed"
[ "$failed" -eq 0 ]
