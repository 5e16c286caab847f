"""The card of a scorer: what it was trained on, what it can do, with intervals, and what it cannot."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from meshsim.learn.trees import TreeScorer
from meshsim.mesh import quality
from meshsim.mesh.media import MediaType

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meshsim.learn.config import Episodes, TrainConfig
    from meshsim.learn.evaluate import OpenLoop
    from meshsim.learn.fit import Fit
    from meshsim.measure.stats import Interval

_LIMITS = """\
## Limits

- Simulated episodes only; nothing here was measured on people's calls.
- Numbers are open loop: every policy decides the same logged calls, and what its own choices would have done to the
  network is not in them.
- Intervals rest on views (calls placed on one belief count as one cluster), and on a handful of seeds of one scenario.
- Two-party calls of up to five hops; beliefs as `meshsim.routing.features` builds them.
- MOS are those of three models, narrow-band E-model for voice, ITU-T G.1070 for video calls, durations for data: they
  compare paths of one call, not calls.
"""


def untested(config: TrainConfig) -> str:
    """The card of a scorer that was not evaluated yet."""
    return f"# {config.name}\n\nNot evaluated.\n"


def card_text(
    config: TrainConfig,
    fitted: Fit,
    calls: Mapping[str, int],
    topologies: Mapping[str, tuple[str, ...]],
    report: Mapping[str, OpenLoop],
    digests: Mapping[str, str],
) -> str:
    """The card, Markdown.

    Args:
        config: What was asked for.
        fitted: How training went.
        calls: Calls of each split.
        topologies: Graphs of each split.
        report: Open-loop results by scenario.
        digests: sha256 of the examples of each split.
    """
    return "\n".join(
        [
            *_head(config, fitted),
            *_data(config, calls, topologies, digests),
            *(line for scenario, result in report.items() for line in _results(scenario, result)),
            _LIMITS,
        ]
    )


def _head(config: TrainConfig, fitted: Fit) -> Iterator[str]:
    yield f"# {config.name}\n"
    yield (
        "Scores candidate paths of a call from what a node believes of the mesh.\n"
        "`ai_score` is 100 times the calibrated probability that the call meets its target\n"
        f"({'; '.join(f'{media}: {_bounds(media)}' for media in MediaType)});\n"
        "`confidence` is the calibrated probability that the chosen path is within 0.2 MOS of the best feasible one,\n"
        "by its ai_score.\n"
    )
    yield _made_of(fitted)
    folder = f"models/{config.name}"
    yield f"Regenerate, from the root of the checkout: `meshsim train {folder}/train.yaml --out {folder}`\n"


def _made_of(fitted: Fit) -> str:
    """What the scorer is, in words."""
    scorer = fitted.scorer
    if isinstance(scorer, TreeScorer):
        trees = scorer.head.boosted.ensemble
        return (
            f"Gradient-boosted trees (LightGBM) on a table of paths: {len(trees.roots):,} trees with\n"
            f"{len(trees.weight):,} leaves in all.\n"
        )
    parameters, shape = sum(parameter.numel() for parameter in scorer.parameters()), scorer.shape
    return (
        f"A graph network of {parameters:,} parameters: embeddings of {shape.dimension}, {shape.rounds} rounds of\n"
        f"message passing, epoch {fitted.best} of {len(fitted.history)} kept.\n"
    )


def _bounds(media: MediaType) -> str:
    """The target of `media` in words."""
    target = quality.target(media)
    asked = (
        ("RTT <= {:g} ms", 1e3 * target.rtt),
        ("jitter <= {:g} ms", 1e3 * target.jitter),
        ("loss <= {:g} %", 100.0 * target.loss),
    )
    return ", ".join(text.format(bound) for text, bound in asked if math.isfinite(bound))


def _data(
    config: TrainConfig,
    calls: Mapping[str, int],
    topologies: Mapping[str, tuple[str, ...]],
    digests: Mapping[str, str],
) -> Iterator[str]:
    yield "## Data\n"
    yield "| use | graphs | scenario and seeds | calls |"
    yield "|---|---|---|---|"
    for split, count in calls.items():
        episodes = _episodes(getattr(config.data, split))
        yield f"| {split} | {', '.join(topologies[split]) or 'none'} | {episodes} | {count:,} |"
    yield "\nWhat each episode changes of its scenario stands in `train.yaml`. sha256 over all examples of a split:\n"
    yield from (f"- {split} `{digest}`" for split, digest in digests.items() if calls[split])
    yield ""


def _episodes(parts: tuple[Episodes, ...]) -> str:
    """Seeds by scenario, in words."""
    seeds: dict[str, list[str]] = {}
    for part in parts:
        seeds.setdefault(part.scenario, []).extend(map(str, part.seeds))
    return "; ".join(f"{scenario} {', '.join(numbers)}" for scenario, numbers in seeds.items()) or "none"


def _results(scenario: str, result: OpenLoop) -> Iterator[str]:
    yield f"## Open loop on `{scenario}`: {result.calls:,} calls\n"
    yield "| policy | poor calls | learned minus this | regret, MOS |"
    yield "|---|---|---|---|"
    for name, rate in result.poor_call_rate.items():
        difference = result.difference.get(("learned", name))
        beside = _percent(difference) if difference is not None else ""
        yield f"| {name} | {_percent(rate)} | {beside} | {result.regret[name].mean:.3f} |"
    yield ""
    for name, claims in result.claims.items():
        yield (
            f"`{name}`: AUC {claims.auc:.3f}; calibration error of ai_score {claims.score_error:.3f} over candidates\n"
            f"and {claims.chosen_error:.3f} over chosen paths, of confidence {claims.confidence_error:.3f}\n"
            f"(which lies between {claims.confidence_low:.3f} and {claims.confidence_high:.3f}).\n"
        )


def _percent(interval: Interval) -> str:
    return f"{100 * interval.mean:.1f} % [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
