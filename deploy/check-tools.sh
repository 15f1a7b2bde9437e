#!/bin/sh
# Says what is missing to build, and the one command that installs it. Changes nothing.
set -eu
missing=""
command -v cc >/dev/null 2>&1 || missing="$missing cc"
command -v cargo >/dev/null 2>&1 || missing="$missing cargo"
[ -z "$missing" ] && exit 0
case "$missing" in
*cc*)
    if command -v apt-get >/dev/null 2>&1; then
        echo "A C compiler is missing. Install it with:  sudo apt-get install -y build-essential" >&2
    elif command -v dnf >/dev/null 2>&1; then
        echo "A C compiler is missing. Install it with:  sudo dnf install -y gcc make" >&2
    elif command -v xcode-select >/dev/null 2>&1; then
        echo "A C compiler is missing. Install it with:  xcode-select --install" >&2
    else
        echo "A C compiler is missing: install gcc or clang with your system's package manager." >&2
    fi
    ;;
esac
case "$missing" in
*cargo*)
    echo "Rust is missing. Install it with:  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh" >&2
    ;;
esac
exit 1
