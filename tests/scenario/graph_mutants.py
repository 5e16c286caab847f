"""Seeded mutations of graph files in all five formats, packed and plain: what people, programs and disks do to them."""

from __future__ import annotations

import gzip
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import mutants

if TYPE_CHECKING:
    from collections.abc import Callable

    Draw = np.random.Generator

SOURCES = {
    ".csv": """# a town
source,target,latitude,longitude,length_km,rate_mbps,loss,directed
Köln,,50.94,6.96,,,,
Bonn,,50.73,7.10,,,,
Ulm,,,,,,,
Köln,Bonn,,,25.3,100,0.01,false
Bonn,Ulm,,,,40,,true
Ulm,Köln,,,380,622,0.2,
""",
    ".json": """{"directed": false, "multigraph": false, "graph": {"name": "town"},
"nodes": [
{"id": 1, "name": "Köln", "latitude": 50.94, "longitude": 6.96},
{"id": "b", "name": "Bonn", "latitude": 50.73, "longitude": 7.1},
{"id": 3, "pos": [9.99, 48.4]}
],
"edges": [
{"source": 1, "target": "b", "length_km": 25.3, "loss": 0.01},
{"source": "b", "target": 3, "rate_mbps": 40, "delay_ms": 2.5},
{"source": 3, "target": 1, "length": 380000}
]}
""",
    ".gml": """Creator "by hand"
graph [
  directed 0
  node [ id 1 label "K&#246;ln" Latitude 50.94 Longitude 6.96 ]
  node [ id 2 label "Bonn" Latitude 50.73 Longitude 7.1 ]
  node [
    id 3
    label "Ulm"
    graphics [ x 1.0 y 2.0 ]
  ]
  edge [ source 1 target 2 length 25300.0 LinkSpeedRaw 1e9 ]
  edge [ source 2 target 3 loss 0.01 ]
  edge [
    source 3
    target 1
    length 380000
  ]
]
""",
    ".graphml": """<?xml version="1.0" encoding="utf-8"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
  <key id="d0" for="node" attr.name="latitude" attr.type="double" />
  <key id="d1" for="node" attr.name="longitude" attr.type="double" />
  <key id="d2" for="edge" attr.name="length_km" attr.type="double"><default>10</default></key>
  <key id="d3" for="node" attr.name="name" attr.type="string" />
  <graph edgedefault="undirected">
    <node id="n0">
      <data key="d0">50.94</data>
      <data key="d1">6.96</data>
      <data key="d3">Köln</data>
    </node>
    <node id="n1">
      <data key="d0">50.73</data>
      <data key="d1">7.1</data>
    </node>
    <node id="n2" />
    <edge source="n0" target="n1"><data key="d2">25.3</data></edge>
    <edge source="n1" target="n2" directed="true" />
    <edge source="n2" target="n0" />
  </graph>
</graphml>
""",
    ".xml": """<?xml version="1.0" encoding="UTF-8"?>
<network xmlns="http://sndlib.zib.de/network" version="1.0">
 <meta>
  <unit>MBITPERSEC</unit>
 </meta>
 <networkStructure>
  <nodes coordinatesType="geographical">
   <node id="Köln">
    <coordinates><x>6.96</x><y>50.94</y></coordinates>
   </node>
   <node id="Bonn">
    <coordinates><x>7.10</x><y>50.73</y></coordinates>
   </node>
   <node id="Ulm" />
  </nodes>
  <links>
   <link id="L1">
    <source>Köln</source>
    <target>Bonn</target>
    <preInstalledModule><capacity>155.0</capacity><cost>0</cost></preInstalledModule>
   </link>
   <link id="L2">
    <source>Bonn</source>
    <target>Ulm</target>
    <additionalModules><addModule><capacity>622</capacity></addModule></additionalModules>
   </link>
  </links>
 </networkStructure>
</network>
""",
}

_WORD = re.compile(r"[A-Za-z_]{2,}")
_QUOTED = re.compile(r'"[^"\n]*"')
STRANGE = (
    "null",
    "true",
    "[]",
    "{}",
    '""',
    "NaN",
    "Infinity",
    "-1",
    "1e999",
    "<a/>",
    "&amp;",
    "]]>",
    "\\u0000",
    "9" * 400,
)


def _pick(draw: Draw, choices: tuple[str, ...] | list[str]) -> str:
    return choices[int(draw.integers(len(choices)))]


def _replaced(draw: Draw, text: str, pattern: re.Pattern[str], new: str) -> str:
    found = list(pattern.finditer(text))
    if not found:
        return text
    match = found[int(draw.integers(len(found)))]
    return text[: match.start()] + new + text[match.end() :]


def rename_a_word(draw: Draw, text: str) -> str:
    return _replaced(draw, text, _WORD, _pick(draw, ("x", "id", "latitude", "source", "Graph", "Ünï", "a b")))


def repeat_a_word(draw: Draw, text: str) -> str:
    """An id that comes twice, an end of an edge that is another."""
    return _replaced(draw, text, _WORD, _pick(draw, _WORD.findall(text)))


def another_type(draw: Draw, text: str) -> str:
    pattern = (_QUOTED, re.compile(r"\d+\.?\d*"))[int(draw.integers(2))]
    return _replaced(draw, text, pattern, _pick(draw, STRANGE))


def out_of_range(draw: Draw, text: str) -> str:
    return _replaced(
        draw, text, re.compile(r"(?<![\w.])\d+\.?\d*"), _pick(draw, ("-400", "1e300", "181", "nan", "inf", "0"))
    )


def strange_text(draw: Draw, text: str) -> str:
    return _replaced(draw, text, _WORD, _pick(draw, list(mutants.WORDS)))


def drop_a_word(draw: Draw, text: str) -> str:
    return _replaced(draw, text, _WORD, "")


def swap_words(draw: Draw, text: str) -> str:
    one, two = (_pick(draw, _WORD.findall(text)) for _ in range(2))
    return text.replace(one, "\0").replace(two, one).replace("\0", two)


def nest(draw: Draw, text: str) -> str:
    at = int(draw.integers(len(text)))
    return text[:at] + _pick(draw, ("[" * 5000, "<a>" * 5000, "{" * 5000, "node [ " * 500, '"')) + text[at:]


def doctype(draw: Draw, text: str) -> str:
    bomb = '<!DOCTYPE graphml [<!ENTITY a "b"><!ENTITY c "&a;&a;">]>\n'
    lines = text.splitlines(keepends=True)
    at = int(draw.integers(3))
    return "".join([*lines[:at], bomb, *lines[at:]])


def cut_packed(draw: Draw, text: str) -> bytes:
    packed = gzip.compress(text.encode(), mtime=0)
    return packed[: int(draw.integers(1, len(packed)))]


def flip_packed(draw: Draw, text: str) -> bytes:
    packed = bytearray(gzip.compress(text.encode(), mtime=0))
    packed[int(draw.integers(len(packed)))] ^= 1 << int(draw.integers(8))
    return bytes(packed)


PACKED = (cut_packed, flip_packed)
MUTATIONS: tuple[Callable[[Draw, str], str | bytes], ...] = (
    mutants.delete_line,
    mutants.double_line,
    mutants.swap_lines,
    mutants.other_number,
    mutants.negative,
    mutants.cut,
    mutants.punctuation,
    mutants.binary,
    mutants.garbage,
    mutants.utf16,
    rename_a_word,
    repeat_a_word,
    another_type,
    out_of_range,
    strange_text,
    drop_a_word,
    swap_words,
    nest,
    doctype,
    *PACKED,
)


def graph_mutant(number: int) -> tuple[str, str, bytes]:
    """The ending, the mutation's name and the bytes of mutant `number`; same number, same bytes."""
    draw = np.random.default_rng(number)
    suffix = sorted(SOURCES)[number % len(SOURCES)]
    mutation = MUTATIONS[number // len(SOURCES) % len(MUTATIONS)]
    made = mutation(draw, SOURCES[suffix])
    data = made if isinstance(made, bytes) else made.encode("utf-8", "surrogatepass")
    return f"{suffix}.gz" if mutation in PACKED else suffix, mutation.__name__, data
