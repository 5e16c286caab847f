"""What lower precision saves and costs a scorer: `python benchmarks/precision.py [MODEL] [--scenario NAME]`.

The models in half precision (fp16) and with weights of 8 bits (int8, dynamic) score every call of a simulated scenario
beside the models as they are. They would pay if they were smaller or faster, kept to the tolerance of export, and chose
the same paths.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
from scipy.stats import kendalltau

import meshsim as ms
from meshsim.learn.dataset import Example, load
from meshsim.routing.policies import Learned

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshsim.routing.artefact import Artefact

ROUNDS = 5
"""Times that all calls are scored, the kinds of models in turn, so that other load hits all alike."""

OVERRIDES = ["routing.policy=exploring", "duration=6 min", "warmup=1 min"]


def half(model: bytes) -> bytes:
    """`model` with 16-bit floats inside, its inputs, outputs and sums as they were: the CPU has no such sums."""
    kept = [*DEFAULT_OP_BLOCK_LIST, "ScatterElements"]
    small = convert_float_to_float16(onnx.load_from_string(model), keep_io_types=True, op_block_list=kept)
    content: bytes = small.SerializeToString()
    return content


def eighth(model: bytes) -> bytes:
    """`model` with 8-bit weights; activations are quantised as they come."""
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        before.write_bytes(model)
        quantize_dynamic(before, after, weight_type=QuantType.QInt8)
        return after.read_bytes()


def variant(artefact: Artefact, change: Callable[[bytes], bytes]) -> Learned:
    """The policy with both models changed."""
    policy = Learned.__new__(Learned)
    policy.__setstate__({"artefact": replace(artefact, encoder=change(artefact.encoder), head=change(artefact.head))})
    return policy


def scored(policy: Learned, examples: tuple[Example, ...]) -> tuple[list[Any], float]:
    """What `policy` says of every call, and the median milliseconds of one, its view encoded before."""
    said, took = [], []
    for example in examples:
        policy.score(example.features)
        began = time.perf_counter()
        said.append(policy.score(example.features))
        took.append(time.perf_counter() - began)
    return said, 1e3 * float(np.median(took))


def beside(said: list[Any], full: list[Any], examples: tuple[Example, ...]) -> dict[str, float]:
    """How far `said` is from `full`, and what its choices cost in MOS."""
    apart = max(float(np.abs(a.ai_score - b.ai_score).max()) for a, b in zip(said, full, strict=True))
    taus, same, regret = [], [], []
    for ours, theirs, example in zip(said, full, examples, strict=True):
        rows = np.flatnonzero(example.feasible)
        if len(rows) < 2:  # noqa: PLR2004 - no choice
            continue
        mine, other = rows[np.argmax(ours.utility[rows])], rows[np.argmax(theirs.utility[rows])]
        taus.append(float(kendalltau(ours.utility[rows], theirs.utility[rows]).statistic))
        same.append(bool(mine == other))
        regret.append(float(example.labels.mos[other] - example.labels.mos[mine]))
    return {
        "ai_score_apart": apart,
        "kendall_tau": float(np.nanmean(taus)),
        "same_choice": float(np.mean(same)),
        "mos_lost": float(np.nanmean(regret)),
    }


def main(model: str, scenario: str) -> dict[str, dict[str, float]]:
    """A row of numbers for each precision."""
    logging.disable(logging.WARNING)  # the quantiser's advice
    with tempfile.TemporaryDirectory() as folder:
        ms.run(scenario, seed=11, overrides=OVERRIDES, out=Path(folder) / "run", progress=False)
        examples = load([Path(folder) / "run"], use="validate").examples
    plain = Learned(model)
    policies = {"fp32": plain, "fp16": variant(plain.artefact, half), "int8": variant(plain.artefact, eighth)}
    times: dict[str, list[float]] = {name: [] for name in policies}
    answers: dict[str, list[Any]] = {}
    for _ in range(ROUNDS):
        for name, policy in policies.items():
            answers[name], took = scored(policy, examples)
            times[name].append(took)
    return {
        name: {
            "bytes": float(len(policy.artefact.encoder) + len(policy.artefact.head)),
            "milliseconds": min(times[name]),
            "calls": float(len(examples)),
            **beside(answers[name], answers["fp32"], examples),
        }
        for name, policy in policies.items()
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="route-scorer")
    parser.add_argument("--scenario", default="demo")
    options = parser.parse_args()
    print(json.dumps(main(options.model, options.scenario), indent=2))
