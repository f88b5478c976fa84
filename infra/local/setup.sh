#!/bin/sh
# Prepares one part of a developer's machine: `setup.sh python`, `setup.sh node` (the browser
# tests) or `setup.sh chain` (the tests at an EVM node).
set -eu

fail() {
    printf 'papercopy: %s\n' "$1" >&2
    exit 2
}

prepare_python() {
    python=${PYTHON:-python3}
    command -v "$python" >/dev/null 2>&1 || fail "no $python here; Python 3.11 or newer is needed"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$("$python" --version 2>&1) is too old; Python 3.11 or newer is needed (make PYTHON=python3.13 …)"
    echo "creating .venv ($("$python" --version 2>&1)) …"
    "$python" -m venv --clear .venv >/dev/null ||
        fail "$python cannot create a virtual environment (on Debian: apt-get install python3-venv)"
    echo "installing hash-locked dependencies, about a minute …"
    .venv/bin/python -m pip install -qq --disable-pip-version-check --require-hashes \
        --requirement requirements/dev.txt || fail "the dependencies could not be installed"
    touch .venv/ready
}

prepare_node() {
    mkdir -p tests/browser/node_modules
    if command -v npm >/dev/null 2>&1; then
        echo "installing the browser tests' packages …"
        npm ci --silent --no-audit --no-fund --prefix tests/browser ||
            fail "the browser tests' packages could not be installed"
    else
        echo "no npm here: the browser tests will be skipped"
    fi
    touch tests/browser/node_modules/ready
}

prepare_chain() {
    mkdir -p tests/chain/node_modules
    if command -v npm >/dev/null 2>&1; then
        echo "installing the EVM node of the chain tests …"
        npm ci --silent --no-audit --no-fund --ignore-scripts --prefix tests/chain ||
            fail "the EVM node of the chain tests could not be installed"
    else
        echo "no npm here: the tests at an EVM node will be skipped"
    fi
    touch tests/chain/node_modules/ready
}

case ${1:-} in
python) prepare_python ;;
node) prepare_node ;;
chain) prepare_chain ;;
*) fail "usage: setup.sh python|node|chain" ;;
esac
