#!/bin/sh
# Makes everything `make run` and `make test` need: the system libraries Qt loads, a virtual
# environment in .venv, and the Python packages at the versions of packaging/constraints.txt.
# Says what it does while it does it, and does nothing when nothing has changed since last time.
#
#   PYTHON=python3.12 packaging/setup.sh     use another Python (3.11, 3.12 or 3.13)
#   LUTRA_SKIP_SYSTEM=1 packaging/setup.sh   leave the system packages alone
set -eu
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# --- the Python to use --------------------------------------------------------------------------

usable() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null
}

find_python() {
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if command -v "$candidate" >/dev/null && usable "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    fail "Lutra needs Python 3.11, 3.12 or 3.13${PYTHON:+, and $PYTHON is none of them}."
}

# --- is there anything to do? -------------------------------------------------------------------

fingerprint() {
    "$1" - pyproject.toml packaging/constraints.txt packaging/setup.sh <<'PY'
import hashlib, pathlib, sys

digest = hashlib.sha256(sys.version.encode() + sys.prefix.encode())
for name in sys.argv[1:]:
    digest.update(pathlib.Path(name).read_bytes())
print(digest.hexdigest())
PY
}

python=$(find_python)
wanted=$(fingerprint "$python")
stamp=.venv/lutra-setup
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && .venv/bin/python -c '' 2>/dev/null; then
    exit 0
fi

# --- system packages ----------------------------------------------------------------------------

# What Qt loads at run time (library, then the Debian package that has it).
qt_libraries="
libEGL.so.1 libegl1
libGL.so.1 libgl1
libdbus-1.so.3 libdbus-1-3
libfontconfig.so.1 libfontconfig1
libfreetype.so.6 libfreetype6
libglib-2.0.so.0 libglib2.0-0
libX11-xcb.so.1 libx11-xcb1
libxkbcommon.so.0 libxkbcommon0
libxkbcommon-x11.so.0 libxkbcommon-x11-0
libxcb-cursor.so.0 libxcb-cursor0
libxcb-icccm.so.4 libxcb-icccm4
libxcb-image.so.0 libxcb-image0
libxcb-keysyms.so.1 libxcb-keysyms1
libxcb-randr.so.0 libxcb-randr0
libxcb-render-util.so.0 libxcb-render-util0
libxcb-shape.so.0 libxcb-shape0
libxcb-sync.so.1 libxcb-sync1
libxcb-util.so.1 libxcb-util1
libxcb-xfixes.so.0 libxcb-xfixes0
libxcb-xkb.so.1 libxcb-xkb1
libwayland-client.so.0 libwayland-client0
libwayland-cursor.so.0 libwayland-cursor0
libwayland-egl.so.1 libwayland-egl1
"

missing_packages() {
    known=$(PATH="$PATH:/usr/sbin:/sbin" ldconfig -p 2>/dev/null || true)
    printf '%s' "$qt_libraries" | while read -r library package; do
        [ -z "$library" ] && continue
        case "$known" in *"$library "*) ;; *) printf '%s ' "$package" ;; esac
    done
    find /usr/share/fonts /usr/local/share/fonts "$HOME/.fonts" "$HOME/.local/share/fonts" \
        \( -name '*.ttf' -o -name '*.otf' \) 2>/dev/null | grep -q . || printf 'fonts-dejavu-core '
    # Debian takes ensurepip out of its Python: without it there is no virtual environment.
    if [ ! -x .venv/bin/python ] && ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        printf 'python%s-venv ' "$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
    fi
}

install_packages() {
    if ! command -v apt-get >/dev/null; then
        say "missing system libraries; this machine has no apt-get. Install what provides these:"
        fail "  $*"
    fi
    if [ "$(id -u)" = 0 ]; then
        as_root=""
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        as_root="sudo"
    else
        say "some system packages are missing and may not be installed from here. Please run:"
        say ""
        say "  sudo apt-get update && sudo apt-get install -y --no-install-recommends $*"
        say ""
        fail "then start this again (or set LUTRA_SKIP_SYSTEM=1 to go on without them)."
    fi
    say "installing system packages with apt-get: $*"
    $as_root apt-get update -qq
    # shellcheck disable=SC2086 # as_root is empty or one word
    $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

if [ "$(uname -s)" = Linux ] && [ -z "${LUTRA_SKIP_SYSTEM:-}" ]; then
    missing=$(missing_packages)
    # shellcheck disable=SC2086 # a list of words
    [ -z "$missing" ] || install_packages $missing
fi

# --- virtual environment and Python packages ----------------------------------------------------

if ! .venv/bin/python -m pip --version >/dev/null 2>&1 || ! usable .venv/bin/python; then
    say "making the virtual environment .venv with $("$python" --version)"
    "$python" -m venv --clear .venv ||
        fail "no virtual environment could be made with $python; is its venv module installed?"
fi

pip() {
    .venv/bin/python -m pip --disable-pip-version-check "$@"
}

say "installing Python packages into .venv (the first time takes a few minutes)"
pip install --quiet --constraint packaging/constraints.txt --upgrade pip
pip install --quiet --constraint packaging/constraints.txt --editable '.[desktop]' --group dev
printf '%s\n' "$wanted" >"$stamp"
say "ready"
