#!/usr/bin/env bash
# Mutation testing of meshsim/trust: breaks the code in small ways, one at a time, and counts which of them its tests
# notice. Usage: tools/mutation.sh VENV [MODULE ...], as `make mutation` does; modules are names such as `blame`.
# Each module is held to its own tests. The tool has an environment of its own, which sees that of this clone, and works
# on a copy.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$(realpath "$1")
shift
home=.cache/mutation
python=$home/venv/bin/python

if ! [ -x "$home/venv/bin/mutmut" ]; then
  "$venv/bin/python" -m venv --clear "$home/venv"
  "$python" -m pip install --quiet --disable-pip-version-check "mutmut==3.8.1"
  "$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
    >"$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/meshsim_dependencies.pth"
fi

rm -rf "$home/work" "$home/result"
mkdir -p "$home/work/tests" "$home/result"
cp -r meshsim "$home/work/"
cp -r tests/trust tests/conftest.py "$home/work/tests/"
export HYPOTHESIS_PROFILE=few

[ $# -gt 0 ] || set -- $(cd meshsim/trust && ls ./*.py | sed -E 's#^\./(.*)\.py$#\1#; /^__init__$/d')
for module in "$@"; do
  # A module answers to its own tests and the contract of models: all others would take hours, and notice by accident.
  own=tests/trust/test_$module.py
  [ -e "$own" ] && own="$own\n    tests/trust/test_models.py" || own=tests/trust
  {
    printf '[mutmut]\nsource_paths=meshsim\nonly_mutate=meshsim/trust/%s.py\n' "$module"
    printf 'pytest_add_cli_args_test_selection=\n    %b\n' "$own"
    printf 'pytest_add_cli_args=\n    -p\n    no:cacheprovider\n    -m\n    not full\n'
    printf 'timeout_multiplier=10\ntimeout_constant=5\nuse_git_change_detection=false\n'
  } >"$home/work/setup.cfg"
  rm -rf "$home/work/mutants"
  (cd "$home/work" && ../venv/bin/mutmut run --max-children "${WORKERS:-2}" >run.log 2>&1) ||
    { tail -n 40 "$home/work/run.log"; exit 1; }
  cp "$home/work/mutants/meshsim/trust/$module.py.meta" "$home/result/"
done
"$python" tools/mutation_score.py "$home/result"
