"""Seeded mutations of the preset scenarios: what people, editors and disks do to files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import meshsim.scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Draw = np.random.Generator

PRESETS = Path(meshsim.scenario.__file__).parent / "presets"

HUGE = ("1e300", "999999999999", "1e9", "-1e300", "1e-300", "0", "-1", "-0.0", ".inf", "-.inf", ".nan", "1" + "0" * 400)
STRANGE = (
    "true",
    "null",
    "~",
    "[]",
    "{}",
    "[1, 2]",
    "{a: 1}",
    "''",
    "'text'",
    "2026-11-22",
    "0x1F",
    "1_000",
    "!!int x",
    "!tag 3",
    "*nowhere",
    "&a 3",
    "|",
    ">",
    "'",
    '"',
    "- 1",
    "? a",
    "@",
    "`",
    "%",
    "<<: 1",
)
UNITS = ("5 ms", "5 Mbps", "5 km", "5%", "5 parsec", "5 min", "5 h", "5 Gbps", "-3 s", "5 m s", "ms", "5e3 s")
WORDS = (
    "\u00fcn\u00efcode",
    "\u540d",
    "\u202ename",
    "\U0001f600",
    "a\u0000b",
    "\ufeff",
    "e\u0301",
    "\uff2e",
    "\x7f",
    "\u2028",
)

_VALUE = re.compile(r"(:[ \t]+)([^\s#{}\[\],][^#{}\[\],\n]*)")
_KEY = re.compile(r"([A-Za-z_]+)(?=:)")
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?")


def _pick(draw: Draw, choices: Sequence[str]) -> str:
    return choices[int(draw.integers(len(choices)))]


def _replaced(draw: Draw, text: str, pattern: re.Pattern[str], make: Callable[[re.Match[str]], str]) -> str:
    found = list(pattern.finditer(text))
    if not found:
        return text
    match = found[int(draw.integers(len(found)))]
    return text[: match.start()] + make(match) + text[match.end() :]


def delete_line(draw: Draw, text: str) -> str:
    lines = text.splitlines(keepends=True)
    del lines[int(draw.integers(len(lines)))]
    return "".join(lines)


def double_line(draw: Draw, text: str) -> str:
    lines = text.splitlines(keepends=True)
    at = int(draw.integers(len(lines)))
    return "".join([*lines[: at + 1], *lines[at:]])


def swap_lines(draw: Draw, text: str) -> str:
    lines = text.splitlines(keepends=True)
    a, b = draw.integers(len(lines), size=2).tolist()
    lines[a], lines[b] = lines[b], lines[a]
    return "".join(lines)


def misspell(draw: Draw, text: str) -> str:
    def wrong(match: re.Match[str]) -> str:
        word = match.group()
        at = int(draw.integers(len(word)))
        return word[:at] + _pick(draw, ("", "x", word[at] * 2, word[at].swapcase())) + word[at + 1 :]

    return _replaced(draw, text, _KEY, wrong)


def other_value(draw: Draw, text: str) -> str:
    return _replaced(draw, text, _VALUE, lambda match: match.group(1) + _pick(draw, STRANGE))


def other_unit(draw: Draw, text: str) -> str:
    return _replaced(draw, text, _VALUE, lambda match: match.group(1) + _pick(draw, UNITS))


def other_number(draw: Draw, text: str) -> str:
    return _replaced(draw, text, _NUMBER, lambda _: _pick(draw, HUGE))


def negative(draw: Draw, text: str) -> str:
    return _replaced(draw, text, _NUMBER, lambda match: f"-{match.group()}")


def other_word(draw: Draw, text: str) -> str:
    return _replaced(draw, text, _VALUE, lambda match: match.group(1) + _pick(draw, WORDS))


def tabs(draw: Draw, text: str) -> str:
    lines = text.splitlines(keepends=True)
    at = int(draw.integers(len(lines)))
    lines[at] = lines[at].replace("  ", "\t", 1) if "  " in lines[at] else "\t" + lines[at]
    return "".join(lines)


def indent(draw: Draw, text: str) -> str:
    lines = text.splitlines(keepends=True)
    at = int(draw.integers(len(lines)))
    lines[at] = _pick(draw, (" ", "   ", "")) + lines[at].lstrip(_pick(draw, (" ", "")))
    return "".join(lines)


def cut(draw: Draw, text: str) -> str:
    return text[: int(draw.integers(len(text)))]


def punctuation(draw: Draw, text: str) -> str:
    at = int(draw.integers(len(text)))
    return text[:at] + _pick(draw, "{}[],:#&*!|>'\"%@`-?\\") + text[at + int(draw.integers(2)) :]


def merged_key(draw: Draw, text: str) -> str:
    return text + _pick(
        draw,
        (
            "duration: 5 min\n",
            "nodes: {count: 3}\n",
            "calls:\n  rate: 1\n",
            "<<: {name: a}\n",
            "---\nname: b\n",
            "...\n",
        ),
    )


def binary(draw: Draw, text: str) -> bytes:
    data = bytearray(text.encode())
    for _ in range(int(draw.integers(1, 6))):
        data[int(draw.integers(len(data)))] = int(draw.integers(256))
    return bytes(data)


def garbage(draw: Draw, _: str) -> bytes:
    return draw.bytes(int(draw.integers(1, 400)))


def utf16(draw: Draw, text: str) -> bytes:
    return text.encode(_pick(draw, ("utf-16", "utf-16-le", "latin-1", "utf-8-sig")), "replace")


MUTATIONS = (
    delete_line,
    double_line,
    swap_lines,
    misspell,
    other_value,
    other_unit,
    other_number,
    negative,
    other_word,
    tabs,
    indent,
    cut,
    punctuation,
    merged_key,
    binary,
    garbage,
    utf16,
)


def mutant(number: int) -> tuple[str, str, bytes]:
    """Name of the preset, of the mutation, and the bytes of mutant `number`."""
    draw = np.random.default_rng(number)
    presets = sorted(PRESETS.glob("*.yaml"))
    preset, mutation = presets[number % len(presets)], MUTATIONS[number // len(presets) % len(MUTATIONS)]
    made = mutation(draw, preset.read_text(encoding="utf-8"))
    return preset.stem, mutation.__name__, made if isinstance(made, bytes) else made.encode("utf-8", "surrogatepass")
