#!/bin/sh
# Starts a hub, puts messages in, and checks that polars, deltalake, ClickHouse (chdb) and DuckDB read the same from its lake
# as the hub's own SQL says, before and after files are merged and the lake is rebuilt; and polars and deltalake from a copy in
# an S3-compatible store (moto).
#
#   load-tests/lake-clients.sh target/debug/saler
#
# Needs Python 3.10 or newer; what it reads with comes from PyPI into VENV (by default one that is made and removed).
set -eu

saler=${1:-target/debug/saler}
[ -x "$saler" ] || {
    echo "no program at $saler: cargo build --bin saler, or name it: load-tests/lake-clients.sh PATH" >&2
    exit 2
}
saler=$(realpath "$saler")
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
venv=${VENV:-$work/venv}
if [ ! -x "$venv/bin/python" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet polars deltalake chdb duckdb 'moto[server]'
fi
"$venv/bin/python" lake-clients.py "$saler" "$work/data"
