from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
LONGEST_FUNCTION = 5
KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
DURATION = re.compile(r"takes (about|less than) [a-z0-9 ]*(seconds|minute)")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]  # nbformat says no types


def cells(path: Path, kind: str) -> list[Any]:
    return [cell for cell in read(path).cells if cell.cell_type == kind]


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
    nbformat.validate(read(path))
    for cell in cells(path, "code"):
        assert cell.outputs == []
        assert cell.execution_count is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_is_of_one_kernel_and_form(path: Path) -> None:
    notebook = read(path)
    assert notebook.metadata == KERNEL
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert [cell.id for cell in notebook.cells] == [f"cell-{i:02d}" for i in range(len(notebook.cells))]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_first_cell_says_what_one_learns_and_how_long_it_takes(path: Path) -> None:
    first = read(path).cells[0].source
    assert re.search("[Yy]ou learn", first)
    assert DURATION.search(first), first


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_asserts_what_its_figures_are_expected_to_show(path: Path) -> None:
    trees = [ast.parse(cell.source) for cell in cells(path, "code")]
    drawn = [i for i, tree in enumerate(trees) if re.search(r"figures\.|plot_", ast.unparse(tree.body[-1]))]
    asserted = [i for i, tree in enumerate(trees) if any(isinstance(part, ast.Assert) for part in tree.body)]
    assert set(drawn) & set(asserted), f"figures in code cells {drawn}, assertions in {asserted}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_lead_somewhere(path: Path) -> None:
    for cell in cells(path, "markdown"):
        for target in LINK.findall(cell.source):
            assert (path.parent / target).exists(), target


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
    notebook = read(path)
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    assert [path.name for path in tmp_path.iterdir()] == []
