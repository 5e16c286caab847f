"""The committed scorers: whole, small, and trained on nothing but what the project allows."""

from __future__ import annotations

import itertools
import re
from functools import cache
from pathlib import Path

import pytest

from meshsim import scenario
from meshsim.lab import sweeps
from meshsim.lab.questions import Found, list_experiments, load_experiment
from meshsim.learn.config import USES, Shape, load_config
from meshsim.learn.dataset import topology_of
from meshsim.routing.artefact import CARD, REQUIRED, read_artefact
from meshsim.scenario.topologies.allowed import allowed_for

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted(
    path
    for folder in ("models", "experiments", "meshsim", "tests")
    for path in (ROOT / folder).rglob("*.yaml")
    if re.search(r"^data:\s*$[\s\S]*^  train:|^like: ", path.read_text(encoding="utf-8"), re.MULTILINE)
)
MODELS = sorted(path.parent for path in (ROOT / "models").glob("*/manifest.json"))
WRITTEN = sorted(
    path
    for folder in ("models", "experiments")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".yaml", ".yml", ".json", ".toml"}
)
GRAPH = re.compile(r"\b(?:topozoo|sndlib|gabriel|backbone|caida|freifunk|nycmesh|generated)/[\w/-]+")


@cache
def _use(name: str, overrides: tuple[str, ...]) -> str:
    said = scenario.load(name, overrides).model_dump(mode="json")
    return allowed_for(topology_of({"scenario": said}))


RIVALS = sorted(path.parent.name for path in CONFIGS if path.parent.parent == ROOT / "models")


def test_the_default_scorer_and_its_rivals_have_configurations() -> None:
    assert {"route-scorer", "trees"} < set(RIVALS)


@pytest.mark.parametrize("name", [name for name in RIVALS if name != "route-scorer"])
def test_a_rival_differs_from_the_default_scorer_in_name_and_model_alone(name: str) -> None:
    default, rival = (load_config(ROOT / "models" / one / "train.yaml") for one in ("route-scorer", name))
    assert isinstance(default.model, Shape)
    assert rival.name == name
    assert rival.model != default.model
    assert rival.model_copy(update={"name": default.name, "model": default.model}) == default
    if isinstance(rival.model, Shape):
        assert rival.model.model_copy(update={"rounds": default.model.rounds}) == default.model


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_episode_of_a_configuration_runs_on_a_graph_its_split_may_use(path: Path) -> None:
    for wanted in load_config(path).wanted():
        use = _use(wanted.scenario, tuple(one for one in wanted.overrides if one.startswith("underlay")))
        assert use == "train" or (use == "validate" and USES[wanted.split] == "validate"), wanted


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_configuration_and_no_manifest_names_a_graph_kept_for_evaluation(path: Path) -> None:
    named = set(GRAPH.findall(path.read_text(encoding="utf-8")))
    assert {name for name in named if allowed_for(name) == "evaluate"} == set()


@pytest.mark.parametrize("found", list_experiments(ROOT / "experiments"), ids=lambda found: found.slug)
def test_every_world_of_an_experiment_stands_on_a_graph_that_is_not_kept_for_evaluation(found: Found) -> None:
    experiment, _ = load_experiment(found.slug, ROOT / "experiments")
    points = sweeps.points(experiment.sweep) if experiment.sweep is not None else [None]
    for variant, point in itertools.product(experiment.worlds, points):
        overrides = (*experiment.overrides, *variant.overrides, *(point.overrides if point is not None else ()))
        assert _use(experiment.scenario, overrides) != "evaluate", variant.name


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: folder.name)
def test_a_committed_scorer_is_whole_and_small(folder: Path) -> None:
    assert read_artefact(folder).name == folder.name
    assert sum((folder / name).stat().st_size for name in REQUIRED) < 1_000_000


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: folder.name)
def test_confidence_of_a_committed_scorer_tells_sure_choices_from_doubtful_ones(folder: Path) -> None:
    values = read_artefact(folder).calibration.confidence.values
    assert values[-1] - values[0] > 0.03


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: folder.name)
def test_a_card_names_its_graphs_and_all_are_allowed(folder: Path) -> None:
    named = set(GRAPH.findall((folder / CARD).read_text(encoding="utf-8")))
    assert named
    assert {name for name in named if allowed_for(name) == "evaluate"} == set()


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: folder.name)
def test_no_file_of_a_scorer_names_a_place_of_the_machine_it_was_made_on(folder: Path) -> None:
    for name in REQUIRED:
        content = (folder / name).read_bytes()
        assert not re.search(rb"/(?:home|root|work|tmp|opt)/", content), name
