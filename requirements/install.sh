#!/usr/bin/env bash
# Install a lock file and then the project, such as: install.sh python3 .venv requirements/tests.txt
#
# It says at once what takes so long, and at a terminal how far it is.
set -euo pipefail
python=$1
venv=$2
list=$3
cd "$(dirname "${BASH_SOURCE[0]}")/.."

pip() {
    "$venv/bin/python" -u -m pip --disable-pip-version-check "$@"
}

show() {
    local number=$1 count=0 first second _
    while read -r first second _; do
        case $first in
            Collecting) show_line "$((++count)) of $number: $second" ;;
            Installing) show_line "All are there and are put in place." ;;
        esac
    done
    show_line ""
}

show_line() {
    if [ -t 1 ]; then
        printf '\r\033[K%s' "${1:+  $1}"
    fi
}

number=$(grep -c '^[a-z0-9].*==' "$list")
echo "Installing $number packages into $venv. The first time this takes about a minute."
"$python" -m venv "$venv"
if ! pip install --require-hashes --requirement "$list" 2>"$venv/install.log" | show "$number"; then
    cat "$venv/install.log" >&2
    exit 1
fi
pip --quiet install --no-deps --no-build-isolation --editable .
