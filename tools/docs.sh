#!/usr/bin/env bash
# Puts what the extra `docs` names into the environment. Usage: tools/docs.sh VENV
set -euo pipefail
venv=$1
cd "$(dirname "$0")/.."
mapfile -t wanted < <("$venv/bin/python" -c '
import tomllib
from pathlib import Path
print(*tomllib.loads(Path("pyproject.toml").read_text())["project"]["optional-dependencies"]["docs"], sep="\n")')
exec "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint constraints.txt "${wanted[@]}"
