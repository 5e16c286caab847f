from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from meshsim.learn.external import (
    DelayConfig,
    DelayModel,
    Labelled,
    Network,
    fit_delays,
    load_delay_config,
    network,
    read_delays,
    write_delays,
)
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.seeds import SeedTree

COLUMNS = ("load", "noise")
RECORD = {"name": "test", "columns": COLUMNS, "data": "0" * 64, "networks": 12}


def drawn(number: int) -> Labelled:
    """Chains of hops whose true wait is the formula's times e^load."""
    draw = SeedTree(5).generator("delays", number)
    lengths = draw.integers(1, 5, 40)
    flow = np.repeat(np.arange(40), lengths)
    hops = len(flow)
    columns = draw.normal(size=(hops, 2))
    wait = np.exp(draw.normal(-4.0, 0.5, hops))
    sending = 0.01 * lengths
    at = np.arange(hops)
    before = np.where(np.append(True, np.diff(flow) > 0), at, at - 1)
    queue = draw.integers(0, 12, hops)
    truth = sending + np.bincount(flow, wait * np.exp(columns[:, 0]), 40)
    asked = network(columns, wait, np.full(hops, 0.01), flow, queue, before, sending)
    return Labelled(asked, torch.as_tensor(truth, dtype=torch.float32))


@cache
def samples() -> tuple[Labelled, ...]:
    return tuple(drawn(number) for number in range(12))


def config(**changed: object) -> DelayConfig:
    return DelayConfig.model_validate({"kind": "delays", "name": "test", "steps": 300, "state": 16, **changed})


def test_an_untrained_model_says_what_the_formulas_say() -> None:
    asked = samples()[0].network
    said = DelayModel(2)(*asked)
    added = torch.zeros(40).index_add(0, asked.flow, asked.wait)
    torch.testing.assert_close(said, asked.sending + added, rtol=1e-3, atol=0.0)


@pytest.mark.parametrize("rounds", [0, 2])
def test_a_model_finds_by_how_much_formulas_err(rounds: int) -> None:
    fitted = fit_delays(config(rounds=rounds), samples())
    assert fitted.before > 0.3
    assert fitted.held_out < 0.2 * fitted.before


def test_the_same_seed_gives_the_same_file(tmp_path: Path) -> None:
    for name in ("one", "other"):
        model = fit_delays(config(steps=20), samples()).model
        write_delays(model, samples()[0].network, RECORD, "# card\n", tmp_path / name)
    assert (tmp_path / "one" / "delays.onnx").read_bytes() == (tmp_path / "other" / "delays.onnx").read_bytes()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("delays")
    torch.manual_seed(0)
    model = DelayModel(2, rounds=1)
    torch.nn.init.normal_(model.correct[-1].weight)  # type: ignore[arg-type]  # a Linear's weight
    write_delays(model.eval(), samples()[0].network, RECORD, "# card\n", out)
    return out


def test_the_file_runs_on_networks_of_any_size_and_does_not_know_their_flows_by_number(written: Path) -> None:
    delays = read_delays(written, COLUMNS)
    asked = samples()[1].network
    alone = delays(*(field.numpy() for field in asked))
    last = int(asked.flow[-1]) + 1
    turned = torch.cat([torch.nonzero(asked.flow == flow)[:, 0] for flow in reversed(range(last))])
    place = torch.empty_like(turned)
    place[turned] = torch.arange(len(turned))
    other = Network(
        asked.columns[turned],
        asked.wait[turned],
        asked.service[turned],
        last - 1 - asked.flow[turned],
        asked.queue[turned],
        place[asked.before[turned]],
        asked.sending.flip(0),
    )
    np.testing.assert_allclose(delays(*(field.numpy() for field in other))[::-1], alone, rtol=1e-5)


def test_an_altered_or_foreign_or_absent_model_is_refused_by_name(written: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no delay model here"):
        read_delays(tmp_path, COLUMNS)
    with pytest.raises(ConfigError, match="other columns"):
        read_delays(written, ("load",))
    (tmp_path / "delays.json").write_text("{}", encoding="utf-8")
    (tmp_path / "delays.onnx").write_bytes((written / "delays.onnx").read_bytes() + b" ")
    with pytest.raises(ConfigError, match="says of itself"):
        read_delays(tmp_path, COLUMNS)
    (tmp_path / "delays.json").write_bytes((written / "delays.json").read_bytes())
    with pytest.raises(ConfigError, match="sha256 differs"):
        read_delays(tmp_path, COLUMNS)


def test_too_few_networks_to_hold_some_out_are_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be parted"):
        fit_delays(config(), samples()[:1])


def test_a_wrong_word_in_a_configuration_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "delays.yaml"
    path.write_text("kind: delays\nname: mine\nsampels: 5\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="samples") as caught:
        load_delay_config(path)
    assert caught.value.line == 3
    path.write_text("kind: delays\nname: mine\nsamples: 101\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="100"):
        load_delay_config(path)


def test_the_committed_model_is_whole_and_made_as_its_configuration_says() -> None:
    folder = Path(__file__).resolve().parents[2] / "models" / "delays"
    said = json.loads((folder / "delays.json").read_text(encoding="utf-8"))
    wanted = load_delay_config(folder / "delays.yaml")
    assert (said["name"], said["networks"]) == (wanted.name, wanted.samples)
    assert said["data"] in (folder / "card.md").read_text(encoding="utf-8")
    read_delays(folder, tuple(said["columns"]))
