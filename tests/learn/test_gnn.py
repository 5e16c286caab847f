"""The scorer composes paths as physics does, and a path's score is its own."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from meshsim.learn.batch import batch_of, join
from meshsim.learn.config import Shape
from meshsim.learn.fit import predict
from meshsim.learn.gnn import RouteScorer, add_up, believed, voice_mos
from meshsim.mesh import quality
from meshsim.mesh.media import MediaType
from meshsim.routing import features as columns

if TYPE_CHECKING:
    from meshsim.learn.dataset import Dataset
    from meshsim.learn.fit import Fit


def untrained(rounds: int = 2) -> RouteScorer:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return RouteScorer(Shape(rounds=rounds)).eval()


def test_add_up_equals_index_add() -> None:
    values, index = torch.arange(12.0).reshape(6, 2), torch.tensor([0, 2, 0, 3, 3, 3])
    assert torch.equal(add_up(values, index, 5), torch.zeros(5, 2).index_add(0, index, values))


def test_add_up_of_nothing_is_zero() -> None:
    assert torch.equal(add_up(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64), 2), torch.zeros(2, 3))


def test_mos_agrees_with_the_e_model_of_mesh_quality() -> None:
    delay, jitter, loss = (np.geomspace(low, high, 40) for low, high in ((1e-3, 2.0), (1e-4, 0.2), (1e-4, 0.9)))
    ours = voice_mos(*(torch.from_numpy(x) for x in (delay, jitter, loss)))
    assert np.abs(ours.numpy() - quality.voice_mos(delay, jitter, loss)).max() < 1e-9


def test_an_untrained_head_returns_what_the_beliefs_say(held_out: Dataset) -> None:
    group = held_out.by_view()[0]
    with torch.no_grad():
        said = predict(untrained(), batch_of(held_out.views[group[0].view], group))
    belief = {n: np.concatenate([getattr(e.features.belief, n) for e in group]) for n in ("rtt", "jitter", "loss")}
    assert np.abs(said.log_rtt.numpy() - np.log(belief["rtt"])).max() < 0.02
    assert np.abs(said.log_jitter.numpy() - np.log(belief["jitter"])).max() < 0.02
    within = ~quality.poor(belief["rtt"], belief["jitter"], belief["loss"])
    assert said.logit_ok.numpy()[within].min() > said.logit_ok.numpy()[~within].min()


def test_a_score_does_not_depend_on_which_other_candidates_are_listed(fitted: Fit, held_out: Dataset) -> None:
    example = held_out.examples[0]
    view, f = held_out.views[example.view], example.features
    t = torch.from_numpy
    with torch.no_grad():
        embedding = fitted.scorer.encoder(t(view.node), t(view.link), t(view.link_src), t(view.link_dst))
        whole = fitted.scorer.head(embedding, *map(t, (f.hop, f.hop_src, f.hop_dst, f.hop_path, f.path)))
        for row in range(len(example)):
            own = np.flatnonzero(f.hop_path == row)
            alone = fitted.scorer.head(
                embedding, t(f.hop[own]), t(f.hop_src[own]), t(f.hop_dst[own]), t(np.zeros_like(own)), t(f.path[[row]])
            )
            assert max(float((a[row] - b[0]).abs().max()) for a, b in zip(whole[:-1], alone[:-1], strict=True)) < 5e-5
            assert float((whole.part[own] - alone.part).abs().max()) < 1e-5


def test_views_of_one_batch_do_not_hear_each_other(fitted: Fit, held_out: Dataset) -> None:
    groups = held_out.by_view()[:3]
    batches = [batch_of(held_out.views[group[0].view], group) for group in groups]
    with torch.no_grad():
        together = predict(fitted.scorer, join(batches)).logit_ok
        apart = torch.cat([predict(fitted.scorer, batch).logit_ok for batch in batches])
    assert float((together - apart).abs().max()) < 1e-4


def test_renumbering_nodes_leaves_scores_alone(fitted: Fit, held_out: Dataset) -> None:
    group = held_out.by_view()[0]
    batch = batch_of(held_out.views[group[0].view], group)
    order = torch.from_numpy(np.random.default_rng(1).permutation(len(batch.node)))
    place = torch.argsort(order)
    moved = {name: place[getattr(batch, name)] for name in ("link_src", "link_dst", "hop_src", "hop_dst")}
    with torch.no_grad():
        before = predict(fitted.scorer, batch).logit_ok
        embedding = fitted.scorer.encoder(batch.node[order], batch.link, moved["link_src"], moved["link_dst"])
        after = fitted.scorer.head(
            embedding, batch.hop, moved["hop_src"], moved["hop_dst"], batch.hop_path, batch.path
        ).logit_ok
    assert float((before - after).abs().max()) < 1e-4


def test_without_rounds_no_node_hears_another(fitted: Fit, held_out: Dataset) -> None:
    view = held_out.views[0]
    inputs = [torch.from_numpy(x) for x in (view.node, view.link, view.link_src, view.link_dst)]
    silent, hearing = untrained(rounds=0), fitted.scorer
    louder = [inputs[0], inputs[1] + 1.0, *inputs[2:]]
    with torch.no_grad():
        assert torch.equal(silent.encoder(*inputs), silent.encoder(*louder))
        assert not torch.equal(hearing.encoder(*inputs), hearing.encoder(*louder))


def test_who_is_trusted_less_is_heard_less(fitted: Fit, held_out: Dataset) -> None:
    view = held_out.views[0]
    node, link, src, dst = (torch.from_numpy(x) for x in (view.node, view.link, view.link_src, view.link_dst))
    low, speaker, hearer = columns.NODE.index("reputation_low"), int(src[0]), int(dst[0])
    heard = []
    for trust in (0.0, 1.0):
        told = node.clone()
        told[speaker, low] = trust
        louder = link.clone()
        louder[0, columns.HOP.index("log_delay")] += 3.0
        with torch.no_grad():
            before = fitted.scorer.encoder(told, link, src, dst)[hearer]
            heard.append(float((fitted.scorer.encoder(told, louder, src, dst)[hearer] - before).norm()))
    assert heard[0] < heard[1]


def test_what_never_varied_in_training_changes_no_score(fitted: Fit, held_out: Dataset) -> None:
    group = held_out.by_view()[0]
    batch = batch_of(held_out.views[group[0].view], group)
    wanted = columns.PATH.index("aic_wanted")  # the trace does not keep it
    other = batch.path.clone()
    other[:, wanted] = 1.0 - other[:, wanted]
    with torch.no_grad():
        before, after = predict(fitted.scorer, batch), predict(fitted.scorer, replace(batch, path=other))
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


def test_beliefs_come_back_in_si_units(held_out: Dataset) -> None:
    example = held_out.examples[0]
    total = add_up(believed(torch.from_numpy(example.features.hop)), torch.from_numpy(example.features.hop_path), 8)
    assert np.allclose(2 * total[:, 0].numpy(), example.features.belief.rtt, rtol=1e-4)
    assert np.allclose(1 - np.exp(-total[:, 2].numpy()), example.features.belief.loss, atol=1e-5)


def test_each_media_is_held_to_its_own_target() -> None:
    rtt, jitter, loss = math.log(0.1), math.log(0.1), math.log(1e-3)  # a voice breaks, a transfer does not
    measures = torch.tensor([[rtt, jitter, loss]] * 3)
    path = torch.zeros(3, len(columns.PATH))
    path[:, [columns.PATH.index(media) for media in MediaType]] = torch.eye(3)
    path[:, columns.PATH.index("log_headroom")] = 3.0
    said = untrained().head._within(measures, path, torch.zeros(3, 4)).tolist()
    odds = dict(zip(MediaType, said, strict=True))
    for media, odd in odds.items():
        assert (odd > 0) == (not quality.poor(0.1, 0.1, 1e-3, media))
    assert odds[MediaType.DATA] > 0 > odds[MediaType.AUDIO]


@pytest.mark.parametrize("name", ["log_delay", "log_jitter", "loss"])
def test_what_is_worse_of_a_hop_never_looks_better(fitted: Fit, held_out: Dataset, name: str) -> None:
    for example in held_out.examples[:40]:
        view, f = held_out.views[example.view], example.features
        t = torch.from_numpy
        with torch.no_grad():
            embedding = fitted.scorer.encoder(t(view.node), t(view.link), t(view.link_src), t(view.link_dst))
            rest = [t(x) for x in (f.hop_src, f.hop_dst, f.hop_path, f.path)]
            worse = f.hop.copy()
            worse[:, columns.HOP.index(name)] += 0.7 if name.startswith("log") else 0.05
            if name == "log_delay":  # the distance stays
                worse[:, columns.HOP.index("log_stretch")] += 0.7
            before, after = (fitted.scorer.head(embedding, t(hop), *rest) for hop in (f.hop, worse))
        assert bool((after.logit_ok <= before.logit_ok + 1e-4).all())
