#!/usr/bin/env bash
# Write the lock files anew from pyproject.toml, such as: lock.sh build/lock/bin/uv --upgrade
#
# One list fits every Python and system. What builds the project is locked with it.
set -euo pipefail
uv=$1
shift
cd "$(dirname "${BASH_SOURCE[0]}")/.."

builders() {
    sed -n 's/^requires = \[\(.*\)\]$/\1/p' pyproject.toml | tr -d '"' | tr , '\n'
}

compile() {
    builders | "$uv" --quiet pip compile --universal --python-version 3.11 --generate-hashes \
        --custom-compile-command "make lock" "$@" pyproject.toml -
}

compile --output-file requirements/product.txt "$@"
compile --output-file requirements/tests.txt --extra test --constraint requirements/product.txt "$@"
