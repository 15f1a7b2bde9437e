# syntax=docker/dockerfile:1
# The hub as an image: `docker build -t saler .`, then `docker run --rm -p 127.0.0.1:8080:8080 -v saler-data:/data saler`.
# All roles come from this one image: `docker run saler serve --roles ingest`.

# The web console: files for a browser, the same on every platform.
FROM node:24-trixie-slim AS console
WORKDIR /src/console
COPY console/package.json console/package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --no-audit --no-fund
COPY console .
RUN npm run build

# The toolchain that Cargo.toml asks for, on the Debian that the image below runs, so that both have the same glibc and OpenSSL.
FROM rust:1.95.0-slim-trixie AS build
# librdkafka, zlib and the other TLS library are compiled from the sources in their crates; OpenSSL is Debian's.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ make pkg-config libssl-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
COPY --from=console /src/console/dist console/dist
# The caches outlive a build: the next one compiles only what changed. They are no part of the image, so the binary is copied.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --locked --release --bin saler \
    && install -D -s target/release/saler /out/saler

FROM debian:trixie-slim
# OpenSSL for librdkafka's TLS and SASL, the roots that providers' certificates end at.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libssl3t64 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 saler \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin saler \
    && install -d -o saler -g saler -m 0750 /data
COPY --from=build /out/saler /usr/local/bin/saler
COPY --chmod=0755 deploy/healthcheck.sh /usr/local/bin/healthcheck

# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
WORKDIR /data
# Inside a container there is no other way in than the port that is published.
ENV SALER_DATA__DIR=/data \
    SALER_HTTP__LISTEN=0.0.0.0:8080 \
    SALER_TELEMETRY__FORMAT=json
VOLUME /data
EXPOSE 8080
# SIGTERM is what `saler serve` ends by: sockets are told to come back, files are synced, at most 10 seconds.
STOPSIGNAL SIGTERM
# /healthz and not /readyz: a hub that refuses webhooks for want of a broker is alive, and a restart would not help it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["healthcheck", "/healthz"]
ENTRYPOINT ["saler"]
CMD ["serve"]
