"""What a release has to say: the public names are those that are written down, and a visible change has its line.

Usage: python tools/release.py names [--write] | changelog BASE
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAMES = ROOT / "tools" / "public_names.txt"
VISIBLE = ("meshsim/cli/", "meshsim/scenario/", "tools/public_names.txt")
"""Where changes are seen by users: commands, scenario keys, public names."""


def public_names() -> list[str]:
    """Every name that a package of meshsim exports, sorted, with the package before it."""
    folders = sorted(path.parent for path in (ROOT / "meshsim").glob("**/__init__.py"))
    packages = [".".join(folder.relative_to(ROOT).parts) for folder in folders]
    return sorted(f"{package}.{name}" for package in packages for name in exported(package))


def exported(package: str) -> list[str]:
    """What `package` names in `__all__`; nothing if it has none."""
    return list(getattr(importlib.import_module(package), "__all__", ()))


def differences(before: Iterable[str], after: Iterable[str]) -> list[str]:
    """Lines that tell names gone (-) from names that are new (+).

    >>> differences(["a", "b"], ["b", "c"])
    ['- a', '+ c']
    """
    old, new = set(before), set(after)
    return [*(f"- {name}" for name in sorted(old - new)), *(f"+ {name}" for name in sorted(new - old))]


def is_untold(changed: Iterable[str]) -> bool:
    """Whether changed files are visible to users while the changelog is not among them.

    >>> is_untold(["meshsim/cli/run.py"]), is_untold(["meshsim/cli/run.py", "CHANGELOG.md"])
    (True, False)
    """
    files = list(changed)
    return "CHANGELOG.md" not in files and any(file.startswith(VISIBLE) for file in files)


def check_names(*, write: bool) -> int:
    """Compares the public names with those written down, or writes them down anew; an exit code."""
    now = public_names()
    if write:
        NAMES.write_text("\n".join(now) + "\n", encoding="utf-8")
        return 0
    told = differences(NAMES.read_text(encoding="utf-8").split(), now)
    for line in told:
        print(line)
    if told:
        print("public names changed; if on purpose: `tools/release.py names --write` and a line in CHANGELOG.md")
    return int(bool(told))


def check_changelog(base: str) -> int:
    """Whether what changed since `base` was told, an exit code."""
    command = ["git", "diff", "--name-only", f"{base}...HEAD"]
    changed = subprocess.check_output(command, cwd=ROOT, text=True).split()  # noqa: S603 - git
    if is_untold(changed):
        print(f"users see what changed since {base}, and CHANGELOG.md says nothing of it")
        return 1
    return 0


def main(words: list[str]) -> int:
    """Does one of the two; an exit code."""
    match words:
        case ["names", *rest] if rest in ([], ["--write"]):
            return check_names(write=bool(rest))
        case ["changelog", base]:
            return check_changelog(base)
        case _:
            print(__doc__)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
