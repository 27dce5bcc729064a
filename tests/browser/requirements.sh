#!/bin/sh
# Checks for what the browser tests need beside Rust, and installs what is missing where that is possible.
set -eu

missing=""
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need node nodejs
need npm npm
[ -n "${CHROMIUM:-}" ] || need chromium chromium

if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "requirements: installing$missing" >&2
        # shellcheck disable=SC2086 # one word a package
        apt-get install --yes --quiet $missing >/dev/null || { apt-get update --quiet >/dev/null && apt-get install --yes --quiet $missing >/dev/null; }
    else
        echo "requirements: missing$missing; install with: sudo apt-get install$missing (CHROMIUM names another browser)" >&2
        exit 1
    fi
fi
