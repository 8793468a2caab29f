# Sourced by the other scripts: a virtual environment in .venv with graphkit and all of its extras, made when absent
# and refreshed when what it is made from has changed.
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
unset PYTHONPATH PYTHONHOME

if [ ! -x .venv/bin/python ]; then
    for candidate in python3.11 python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
            python=$candidate
            break
        fi
    done
    if [ -z "${python:-}" ]; then
        echo "Python 3.11 is needed (for MXNet, which the tests run); install it so that 'python3.11' is found." >&2
        exit 2
    fi
    echo "Creating .venv with $("$python" --version) …"
    "$python" -m venv .venv
fi

# equip ENVIRONMENT CONSTRAINTS WHAT: install unless just that is installed.
equip() {
    local stamp
    stamp=$(cat pyproject.toml "$2" | sha256sum | cut -d ' ' -f 1)
    if [ "$(cat "$1/graphkit-stamp" 2>/dev/null)" != "$stamp" ]; then
        echo "Installing graphkit and what it needs into $1 (PyTorch among it: a few minutes) …"
        "$1/bin/python" -m pip install --quiet --disable-pip-version-check -c "$2" -e "$3"
        echo "$stamp" > "$1/graphkit-stamp"
    fi
}

equip .venv constraints.txt '.[test,mxnet,fuzz]'
