#!/bin/sh
# Says what is missing to build, and the one command that installs it. Changes nothing.
#
#   check-tools.sh [--without-cluster]      without the engines of a cluster, which need OpenSSL
set -eu
with_cluster=yes
[ "${1:-}" != --without-cluster ] || with_cluster=no
cd "$(dirname "$0")/.."

# The oldest Rust that builds the hub, as Cargo.toml says, such as 1.95.
needed=$(sed -n 's/^rust-version = "\([0-9.]*\)".*/\1/p' Cargo.toml | head -n 1)
rustup="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"

# Whether version $1, such as 1.94.1, is at least $2, such as 1.95.
at_least() {
    have_major=${1%%.*} have_minor=${1#*.} want_major=${2%%.*} want_minor=${2#*.}
    have_minor=${have_minor%%[!0-9]*} want_minor=${want_minor%%[!0-9]*}
    [ "$have_major" -gt "$want_major" ] || { [ "$have_major" -eq "$want_major" ] && [ "$have_minor" -ge "$want_minor" ]; }
}

missing=""
commands=""
lacks() {
    missing="${missing:+$missing, and }$1"
    commands="${commands:+$commands && }$2"
}

# OpenSSL's headers, as the build looks for them: librdkafka speaks TLS with it.
has_openssl() {
    [ -z "${OPENSSL_DIR:-}${OPENSSL_LIB_DIR:-}" ] || return 0
    if command -v pkg-config >/dev/null 2>&1 && pkg-config --exists openssl; then return 0; fi
    command -v brew >/dev/null 2>&1 && [ -d "$(brew --prefix openssl@3 2>/dev/null)" ]
}

# lacks_packages WHAT APT DNF PACMAN APK ELSE: what is missing, and the packages that bring it.
lacks_packages() {
    if command -v apt-get >/dev/null 2>&1; then
        lacks "$1 is missing" "sudo apt-get install -y $2"
    elif command -v dnf >/dev/null 2>&1; then
        lacks "$1 is missing" "sudo dnf install -y $3"
    elif command -v pacman >/dev/null 2>&1; then
        lacks "$1 is missing" "sudo pacman -S --needed $4"
    elif command -v apk >/dev/null 2>&1; then
        lacks "$1 is missing" "sudo apk add $5"
    else
        lacks "$1 is missing" "$6"
    fi
}

has_compilers() {
    command -v cc >/dev/null 2>&1 || return 1
    [ "$with_cluster" = no ] || command -v c++ >/dev/null 2>&1
}
if ! has_compilers; then
    if command -v xcode-select >/dev/null 2>&1; then
        lacks "a C compiler is missing" "xcode-select --install"
    else
        lacks_packages "a C and C++ compiler" build-essential "gcc gcc-c++ make" base-devel "build-base bash" \
            "your system's package manager (gcc or clang, for C and C++)"
    fi
fi
if [ "$with_cluster" = yes ] && ! has_openssl; then
    lacks_packages "OpenSSL for development" "libssl-dev pkg-config" "openssl-devel pkgconf-pkg-config" "openssl pkgconf" \
        "openssl-dev pkgconf" "brew install openssl@3 pkg-config"
fi

if ! command -v "${CARGO:-cargo}" >/dev/null 2>&1; then
    lacks "Rust is missing" "$rustup"
else
    # A toolchain that rustup was told to use and does not have says so itself.
    version=$(rustc --version 2>/dev/null | sed -n 's/^rustc \([0-9][0-9.]*\).*/\1/p')
    if [ -z "$version" ]; then
        rustc --version >&2 || true
        lacks "rustc does not say its version" "rustup update stable"
    elif ! at_least "$version" "$needed"; then
        if command -v rustup >/dev/null 2>&1; then
            lacks "Rust is $version and $needed is needed" "rustup update stable && rustup default stable"
        else
            lacks "Rust is $version and $needed is needed" "$rustup"
        fi
    fi
fi

[ -n "$missing" ] || exit 0
first=$(printf '%.1s' "$missing" | tr '[:lower:]' '[:upper:]')
echo "$first${missing#?}. Install what is needed with:  $commands" >&2
exit 1
