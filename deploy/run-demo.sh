#!/bin/sh
# Runs the hub with a demo workspace that is alive: run-demo.sh BIN_FOLDER LISTEN DATA_FOLDER
#
# The workspace, its people and their made-up passwords stand in load-tests/demo.json. Ctrl-C stops both programs; the data
# folder stays, and the next run goes on with it.
set -eu

bin=$1
listen=$2
data=$3
config=load-tests/demo.json
simulator=127.0.0.1:${SIMULATOR_PORT:-8090}

# The demo's web chat, as demo.json names it, can be tried on a page of the hub.
export SALER_DATA__DIR="$data" SALER_HTTP__LISTEN="$listen" SALER_HTTP__WIDGET_DEMO=019a9f3e-7d2c-7b61-9a52-0c4e1f6a7b03
mkdir -p "$data"
"$bin/saler-load" demo-setup --saler "$bin/saler" --workspace-config "$config" --simulator "$simulator" \
    --origin "http://$listen" --marker "$data/demo-workspace.json"

"$bin/saler" serve &
hub=$!
player=""
# shellcheck disable=SC2329 # called by the trap
stop() {
    trap - INT TERM
    [ -z "$player" ] || kill "$player" 2>/dev/null || true
    kill "$hub" 2>/dev/null || true
    wait "$hub" 2>/dev/null || true
    exit 0
}
trap stop INT TERM

# Whether the hub takes requests, and has applied what it had acknowledged before.
ready() {
    if command -v curl >/dev/null 2>&1; then
        curl -fs -o /dev/null --noproxy '*' --max-time 4 "http://$listen/readyz"
    else
        bash deploy/healthcheck.sh /readyz >/dev/null 2>&1
    fi
}

looks=0
until ready; do
    if ! kill -0 "$hub" 2>/dev/null; then
        # It has said why.
        status=0
        wait "$hub" || status=$?
        exit "$status"
    fi
    looks=$((looks + 1))
    [ "$looks" -ne 50 ] || echo "The hub is not ready yet: http://$listen/readyz says why." >&2
    sleep 0.2
done

cat <<TEXT

  Saler runs on            http://$listen
  The API, to be tried     http://$listen/api/v1/docs/
  The chat for your site   http://$listen/widget-demo
  Metrics, health          http://$listen/metrics  http://$listen/healthz

  Sign in as               owner@demo.saler.test     demo-owner-2026
                           manager@demo.saler.test   demo-manager-2026
                           huda@demo.saler.test      demo-agent-2026
                           analyst@demo.saler.test   demo-analyst-2026

  Customers are simulated; so is the provider, on http://$simulator. Stop with Ctrl-C.

TEXT

"$bin/saler-load" demo --hub "http://$listen" --workspace-config "$config" --simulator "$simulator" --agents 1 &
player=$!
status=0
wait "$hub" || status=$?
# A hub that ended by itself takes the simulation with it.
kill "$player" 2>/dev/null || true
exit "$status"
