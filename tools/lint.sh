#!/usr/bin/env bash
# Runs every reader of the source and says at the end which of them found something.
set -u
bin=${BIN:-.venv/bin}
failed=()
check() {
  local name=$1 output
  shift
  if output=$("$@" 2>&1); then
    echo "lint: $name ok"
  else
    printf '%s\n' "$output"
    failed+=("$name")
  fi
}
check "ruff check" "$bin/ruff" check --output-format concise .
check "ruff format" "$bin/ruff" format --check .
check mypy "$bin/mypy"
check imports "$bin/lint-imports" --no-logo
check docstrings "$bin/interrogate" --quiet meshsim tools
check "dead code" "$bin/vulture"
check spelling "$bin/codespell"
[ ${#failed[@]} -eq 0 ] && exit 0
printf 'lint: FAILED: %s\n' "${failed[*]}"
exit 1
