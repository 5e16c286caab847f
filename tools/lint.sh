#!/usr/bin/env bash
# Runs every reader of the source, at once, and says at the end which of them found something.
set -u
cd "$(dirname "$0")/.." || exit 1
bin=${BIN:-.venv/bin}
said=$(mktemp -d)
trap 'rm -rf "$said"' EXIT
names=()
jobs=()

check() {
  names+=("$1")
  "${@:2}" >"$said/${#jobs[@]}" 2>&1 &
  jobs+=($!)
}

check mypy "$bin/mypy"
check "ruff check" "$bin/ruff" check --output-format concise .
check "ruff format" "$bin/ruff" format --check .
check imports "$bin/lint-imports" --no-logo
check docstrings "$bin/interrogate" --quiet meshsim tools
check "dead code" "$bin/vulture"
check spelling "$bin/codespell"

failed=()
for number in "${!jobs[@]}"; do
  if wait "${jobs[$number]}"; then
    echo "lint: ${names[$number]} ok"
  else
    cat "$said/$number"
    failed+=("${names[$number]}")
  fi
done
[ ${#failed[@]} -eq 0 ] && exit 0
echo "lint: FAILED: ${failed[*]}"
exit 1
