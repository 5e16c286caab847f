from __future__ import annotations

import sys
from pathlib import Path

import pytest

from meshsim.mesh.errors import ConfigError
from meshsim.mesh.registry import Registry


def shapes() -> Registry[int]:
    registry: Registry[int] = Registry("test shape")
    registry.add("square", 4)
    registry.add("circle", 0)
    return registry


@pytest.fixture
def plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package that offers one shape of its own and one whose name is taken."""
    (tmp_path / "plugged_shapes.py").write_text("TRIANGLE = 3\nOTHER_SQUARE = 44\n")
    info = tmp_path / "plugged_shapes-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged-shapes\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[meshsim.test_shape]\ntriangle = plugged_shapes:TRIANGLE\nsquare = plugged_shapes:OTHER_SQUARE\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "plugged_shapes", raising=False)


def test_parts_are_found_by_name_and_listed_in_order() -> None:
    registry = shapes()
    assert (registry["square"], list(registry), len(registry)) == (4, ["circle", "square"], 2)
    assert "square" in registry
    assert "cube" not in registry


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown test shape 'squared'") as refused:
        shapes()["squared"]
    assert (refused.value.allowed, refused.value.nearest) == (("circle", "square"), "square")


def test_a_name_belongs_to_one_part() -> None:
    registry = shapes()
    registry.add("square", registry["square"])
    with pytest.raises(ConfigError, match="exists already"):
        registry.add("square", 5)


def test_the_decorator_gives_its_part_back() -> None:
    registry: Registry[object] = Registry("test function")

    @registry.register("one")
    def one() -> int:
        return 1

    assert registry["one"] is one


@pytest.mark.usefixtures("plug_in")
def test_entry_points_add_parts_but_do_not_replace_any() -> None:
    registry = shapes()
    assert registry["triangle"] == 3
    assert (registry["square"], list(registry)) == (4, ["circle", "square", "triangle"])


@pytest.mark.usefixtures("plug_in")
def test_a_part_from_outside_counts_before_it_was_asked_for() -> None:
    assert "triangle" in shapes()
    assert len(shapes()) == 3


def test_a_part_that_cannot_be_loaded_is_told_to_who_asks_for_it_and_to_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "broken_shapes-1.0.dist-info"
    info.mkdir()
    (tmp_path / "broken_shapes.py").write_text("raise RuntimeError('no licence')\n")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-shapes\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[meshsim.test_shape]\nblob = broken_shapes:BLOB\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = shapes()
    assert list(registry) == ["circle", "square"]
    assert "blob" not in registry
    with pytest.raises(ConfigError, match="'blob' cannot be loaded: broken_shapes:BLOB: RuntimeError: no licence"):
        registry["blob"]
