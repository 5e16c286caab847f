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

rm -rf "$home/work"
mkdir -p "$home/work/tests" "$home/result"
cp -r meshsim "$home/work/"
cp -r tests/trust tests/conftest.py "$home/work/tests/"
export HYPOTHESIS_PROFILE=few

# A run of all starts afresh; one of some modules replaces what was known of these.
if [ $# -eq 0 ]; then
  rm -f "$home"/result/*
  set -- $(cd meshsim/trust && ls ./*.py | sed -E 's#^\./(.*)\.py$#\1#; /^__init__$/d')
fi

# The contract's class for a model, such as TestEigenTrust for eigentrust; nothing for other modules.
contract_of() {
  { [ "$1" = vigilance ] && echo TestBetaCusum; } ||
    sed -nE 's/^class (Test[A-Za-z]+)\(ReputationContract\):.*/\1/p' tests/trust/test_models.py | grep -ix "test${1//_/}" || :
}

# Whether a module has any function that does something: one of fields alone has no mutants.
breakable() {
  "$python" - "meshsim/trust/$1.py" <<'EOP'
import ast, sys
functions = (part for part in ast.walk(ast.parse(open(sys.argv[1]).read())) if isinstance(part, ast.FunctionDef))
sys.exit(all(len(function.body) == 1 and isinstance(function.body[0], ast.Expr) for function in functions))
EOP
}

TIMEFORMAT='%U %S'
for module in "$@"; do
  breakable "$module" || continue
  # A module answers to its own tests and, where it is a model, to the contract and the parameters of models: all others
  # would take hours, and notice by accident.
  own=tests/trust/test_$module.py
  [ -e "$own" ] || own=tests/trust
  contract=$(contract_of "$module")
  [ -z "$contract" ] || own="$own\n    tests/trust/test_models.py::$contract\n    tests/trust/test_parameters.py"
  {
    printf '[mutmut]\nsource_paths=meshsim\nonly_mutate=meshsim/trust/%s.py\n' "$module"
    printf 'pytest_add_cli_args_test_selection=\n    %b\n' "$own"
    printf 'pytest_add_cli_args=\n    -p\n    no:cacheprovider\n    -m\n    not full\n'
    printf 'timeout_multiplier=5\ntimeout_constant=3\nuse_git_change_detection=false\n'
  } >"$home/work/setup.cfg"
  rm -rf "$home/work/mutants"
  rm -f "$home/result/$module".*
  mutated=$home/work/mutants/meshsim/trust/$module.py
  { time (cd "$home/work" && ../venv/bin/mutmut run --max-children "${WORKERS:-2}" >run.log 2>&1); } 2>"$home/work/cpu" ||
    { tail -n 40 "$home/work/run.log"; exit 1; }
  cp "$mutated" "$mutated.meta" "$home/result/"
  tail -n 1 "$home/work/cpu" >"$home/result/$module.cpu"
done
"$python" tools/mutation_score.py "$home/result"
