from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
LONGEST_FUNCTION = 5


def cells(path: Path, kind: str) -> list[Any]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def test_there_are_notebooks_numbered_and_titled_by_a_question() -> None:
    numbers = [int(path.name[:2]) for path in NOTEBOOKS]
    assert numbers[0] == 1
    assert len(set(numbers)) == len(numbers)
    for path in NOTEBOOKS:
        title = cells(path, "markdown")[0].source.splitlines()[0]
        assert title.startswith(f"# {path.name[:2]} ")
        assert title.endswith("?")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stripped(path: Path) -> None:
    nbformat.validate(nbformat.read(path, as_version=4))
    for cell in cells(path, "code"):
        assert cell.outputs == []
        assert cell.execution_count is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_are_glue(path: Path) -> None:
    for cell in cells(path, "code"):
        for thing in ast.walk(ast.parse(cell.source)):
            if isinstance(thing, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                assert (thing.end_lineno or thing.lineno) - thing.lineno < LONGEST_FUNCTION


@pytest.mark.full
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of jupyter's own parts
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs(path: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    assert [path.name for path in tmp_path.iterdir()] == []
