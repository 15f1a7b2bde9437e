#!/bin/bash
# Whether the hub in this container answers 200: healthcheck /healthz. Needs nothing but bash, so the image holds no client.
set -euo pipefail
path=${1:-/healthz}
port=${SALER_HTTP__LISTEN##*:}
exec 3<>"/dev/tcp/127.0.0.1/${port:-8080}"
printf 'GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' "$path" >&3
IFS=' ' read -r -t 4 _ status _ <&3
[ "$status" = 200 ] || {
    echo "$path answers $status"
    exit 1
}
