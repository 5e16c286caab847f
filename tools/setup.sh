#!/usr/bin/env bash
# Makes the virtual environment of this clone. Usage: tools/setup.sh VENV STAMP
# Installs with uv where it can be had and with pip where not; both read the index and the links that pip is told of.
set -euo pipefail
venv=$1
stamp=$2
extras=sim,learn,node,control,lab,gym,tune,dev
cd "$(dirname "$0")/.."

digest() { { pwd; cat pyproject.toml constraints.txt tools/setup.sh; } | sha256sum | cut -d ' ' -f 1; }

find_python() {
  local name
  for name in "${PYTHON:-python3.11}" python3.11 python3.12 python3.13 python3; do
    if "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      echo "$name"
      return
    fi
  done
  echo "make setup: Python 3.11 or later with its venv module is needed; set PYTHON to one" >&2
  return 1
}

# What pip is told by its environment or its files: pip_setting find-links
pip_setting() {
  "$venv/bin/python" -m pip config list 2>/dev/null |
    sed -n -E "s/^(global|install|:env:)\.$1='(.*)'\$/\2/p" | sed 's/\\n/ /g' | tail -n 1
}

uv_arguments() {
  local link index
  for link in $(pip_setting find-links); do printf '%s\n' --find-links "$link"; done
  index=$(pip_setting index-url)
  [ -z "$index" ] || printf '%s\n' --default-index "$index"
  for index in $(pip_setting extra-index-url); do printf '%s\n' --index "$index"; done
}

install_with_uv() {
  local arguments
  "$venv/bin/python" -m pip install --quiet --constraint constraints.txt uv || return 1
  mapfile -t arguments < <(uv_arguments)
  # The best match over all indexes is pip's own rule; uv would stop at the first index that knows a name.
  "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --index-strategy unsafe-best-match "${arguments[@]}" \
    --constraint constraints.txt --editable ".[$extras]"
}

install_with_pip() {
  "$venv/bin/python" -m pip install --quiet --constraint constraints.txt --editable ".[$extras]"
}

export PIP_DISABLE_PIP_VERSION_CHECK=1
wanted=$(digest)
if [ -x "$venv/bin/meshsim" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
  touch "$stamp"
  exit 0
fi
# An environment whose Python is gone, or that was made for another folder, is made anew.
if ! "$venv/bin/python" -c '' 2>/dev/null || ! grep -qsF "$PWD/$venv" "$venv/bin/activate"; then
  python=$(find_python)
  "$python" -m venv --clear "$venv"
fi
echo "make setup: installing meshsim[$extras] into $venv (a few minutes the first time)"
install_with_uv || install_with_pip
echo "$wanted" >"$stamp"
