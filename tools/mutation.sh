#!/usr/bin/env bash
# Mutation testing of meshsim/trust: breaks the code in small ways, one at a time, and counts which of them its tests
# notice. Usage: tools/mutation.sh VENV [MODULE ...], as `make mutation` does; modules are names such as `blame`.
# The tool has an environment of its own, which sees that of this clone, and works on a copy.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$(realpath "$1")
shift
home=${MUTATION_HOME:-.cache/mutation}
python=$home/venv/bin/python

if ! [ -x "$home/venv/bin/mutmut" ]; then
  "$venv/bin/python" -m venv --clear "$home/venv"
  "$python" -m pip install --quiet --disable-pip-version-check "mutmut==3.8.1"
  "$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
    >"$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/meshsim_dependencies.pth"
fi

rm -rf "$home/work"
mkdir -p "$home/work/tests"
cp -r meshsim "$home/work/"
cp -r tests/trust "$home/work/tests/"
cp tests/conftest.py "$home/work/tests/"
{
  printf '[mutmut]\nsource_paths=meshsim\nonly_mutate='
  for module in "${@:-*}"; do printf '\n    meshsim/trust/%s.py' "$module"; done
  printf '\npytest_add_cli_args_test_selection=tests/trust\npytest_add_cli_args=\n    -p\n    no:cacheprovider\n    -m\n    not full\n'
  printf 'timeout_multiplier=10\ntimeout_constant=5\nuse_git_change_detection=false\n'
} >"$home/work/setup.cfg"

cd "$home/work"
export HYPOTHESIS_PROFILE=few
../venv/bin/mutmut run --max-children "${WORKERS:-2}" >run.log 2>&1 || { tail -n 40 run.log; exit 1; }
"$OLDPWD/$python" "$OLDPWD/tools/mutation_score.py" mutants
