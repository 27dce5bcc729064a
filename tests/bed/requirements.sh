#!/bin/sh
# Checks for what the test bed needs beside Rust, and installs what is missing where that is possible.
set -eu

missing=""
need() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ] || missing="$missing $2"; }
need ip iproute2
need nft nftables
need unshare util-linux
python3 -c 'import ensurepip' 2>/dev/null || missing="$missing python3-venv"
# A clock that is wrong for one program.
ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || missing="$missing libfaketime"

if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "requirements: installing$missing" >&2
        # shellcheck disable=SC2086 # one word a package
        apt-get install --yes --quiet $missing >/dev/null || { apt-get update --quiet >/dev/null && apt-get install --yes --quiet $missing >/dev/null; }
    else
        echo "requirements: missing$missing; install with: sudo apt-get install$missing" >&2
        exit 1
    fi
fi

if ! command -v go >/dev/null 2>&1 && [ -z "${KUBEBUILDER_ASSETS:-}" ]; then
    echo "requirements: no Go (https://go.dev/dl, 1.26 or newer), and KUBEBUILDER_ASSETS is not set: components that are not in .components cannot be built" >&2
    # What is built already still works; what is not is named when it is needed.
fi
