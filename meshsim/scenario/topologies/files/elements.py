"""XML into elements that know their line. Documents with a DTD are refused, so no entity can be declared or expanded.

expat itself knows no other entities than the five of XML, and reads nothing but the bytes that it is given.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from meshsim.scenario.topologies.files.raw import Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meshsim.mesh.errors import ConfigError

MOST_ELEMENTS = 4_000_000
DEEPEST = 50
"""Elements of a document, and how deep they may stand in each other."""


@dataclass(slots=True)
class Element:
    """One element: its name without namespace, attributes, text before its first child, children, and its line."""

    tag: str
    attributes: dict[str, str]
    line: int
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def all(self, tag: str) -> Iterator[Element]:
        """Its children of that name."""
        return (child for child in self.children if child.tag == tag)

    def first(self, tag: str) -> Element | None:
        """Its first child of that name."""
        return next(self.all(tag), None)


@dataclass(slots=True)
class _Builder:
    file: str
    parser: expat.XMLParserType
    root: Element | None = None
    path: list[Element] = field(default_factory=list)
    count: int = 0

    def place(self) -> Place:
        return Place(file=self.file, line=self.parser.CurrentLineNumber)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.count += 1
        if self.count > MOST_ELEMENTS or len(self.path) >= DEEPEST:
            raise self.place().error("too many elements, or nested too deep")
        plain = {_local(key): value for key, value in attributes.items()}
        element = Element(_local(name), plain, self.parser.CurrentLineNumber)
        if self.path:
            self.path[-1].children.append(element)
        else:
            self.root = element
        self.path.append(element)

    def end(self, _name: str) -> None:
        self.path.pop()

    def data(self, text: str) -> None:
        if not self.path[-1].children:
            self.path[-1].text += text

    def doctype(self, *_: object) -> None:
        raise self.place().error("documents with a DTD are refused", allowed=("XML without <!DOCTYPE ...>",))


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


def parse(content: bytes, file: str, root: str) -> Element:
    """The root of the document in `content`, which must be named `root`.

    Raises:
        ConfigError: With the line, if it is not well formed, has a DTD, another root, or too much in it.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    builder = _Builder(file, parser)
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = builder.doctype
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise _malformed(file, error) from error
    except (LookupError, ValueError) as error:  # an encoding that is unknown, or of several bytes
        raise Place(file=file, line=1).error(f"not XML: {error}", allowed=("UTF-8", "ISO-8859-1")) from error
    if builder.root is None or builder.root.tag != root:
        found = builder.root.tag if builder.root else "nothing"
        raise Place(file=file, line=1).error(f"the root element is <{found}>", allowed=(f"<{root}>",))
    return builder.root


def _malformed(file: str, error: expat.ExpatError) -> ConfigError:
    problem = f"not XML: {expat.ErrorString(error.code)} (column {error.offset + 1})"
    return Place(file=file, line=error.lineno).error(problem)


def opening(tag: str, attributes: Mapping[str, str] | None = None, *, empty: bool = False) -> str:
    """A start tag as text, or an empty element."""
    said = "".join(f" {name}={quoteattr(value)}" for name, value in (attributes or {}).items())
    return f"<{tag}{said}{' /' if empty else ''}>"


def leaf(tag: str, text: str, attributes: Mapping[str, str] | None = None) -> str:
    """An element with nothing but text in it."""
    return f"{opening(tag, attributes)}{escape(text)}</{tag}>"
