"""The route scorer, one file to read: an encoder of views and a head that scores one call's candidates.

The encoder passes messages over the links of a view and gives an embedding per node; it is run once per view. The head
follows each candidate hop by hop: what is believed of a hop adds a positive delay, a loss exponent and a jitter
variance to its path, exactly as paths compose (`mesh.quality`); a path's score therefore never depends on which other
candidates are listed, and an untrained head returns what the beliefs say.

Worse never looks better. What a hop adds is a power of what is believed of it: the exponent, between 0 and 1.2, says
how far the belief is to be trusted rather than what is usual, and it and the usual follow from the hop's circumstances
alone (who its ends are, how old the belief is, what triangles say), never from the values. A path's odds fall with each
of its measures; their sharpness, too, follows from circumstances. Only how wide intervals are may depend on everything.

Letters: N nodes, E links, P candidates, S = sum of the candidates' hops, F features, D embedding,
M message.

Sums over links and hops are `scatter_add` with an index widened to the values' shape: `index_add` means the same, but
the TorchScript exporter of torch 2.13 writes it without `reduction="add"`, so that one of several equal indices wins.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from meshsim.mesh import quality
from meshsim.mesh.media import MediaType
from meshsim.routing import features as columns

if TYPE_CHECKING:
    from meshsim.learn.config import Shape

CORRECTION = 3.0
"""Largest correction of what is usual of a hop, on the log scale."""
MOST_TRUST = 1.2
FULL_TRUST = math.log(5.0)
"""Where the exponent of a belief, MOST_TRUST times a sigmoid, is 1."""
LEAST_BELIEVED = 1e-6
"""Seconds of delay and jitter, and exponent of loss, below which beliefs are the same."""
MOST_UNSEEN = 0.3
UNSEEN_OFFSET = 8.0
"""Loss exponent that a hop may add though no belief shows it (a relay that drops): at most 0.3, hardly any at first."""
MOST_LOGIT = 30.0
MOST_SAID = 4.0
"""Bound of each entry of a message: no node shouts louder than others."""
LEAST_TRUST = 0.1
UNOBSERVED_TRUST = 0.25
"""Weights of the message of a node without any reputation, and of a link nobody has measured, beside 1."""
TYPICAL_SPREAD = (0.1, 0.1, 0.3, 0.3, 0.6, 0.6)
"""Half-widths of an untrained head's 90 % intervals: below and above, of log RTT, log jitter and log-odds of loss."""
USUAL = 4.0
"""Deviations from the mean of training up to which an input is nothing unusual."""
UNBOUNDED = 1e6
"""Bound of what a target does not bound: seconds, so far off that nothing exceeds it."""
MEDIA = [columns.PATH.index(media) for media in MediaType]
"""Columns of the path's features that say what the call carries, in the order of `MediaType`."""
LEAST_RTT = 1e-4
LEAST_JITTER = 1e-6
LEAST_LOSS = 1e-4
LEAST_DEVIATION = 1e-6


class Prediction(NamedTuple):
    """What the head says of P candidates with S hops; each (P,) float32 unless said.

    Attributes:
        logit_ok: Uncalibrated log-odds that the call meets the target of its media (`mesh.quality`).
        log_rtt: Natural log of seconds.
        log_jitter: Natural log of seconds.
        logit_loss: Log-odds of a packet's loss.
        mos: Conversational MOS.
        spread: (P, 6), all positive: how far below and above `log_rtt` the 5 % and 95 % quantiles lie, then the same of
            `log_jitter` and `logit_loss`.
        strange: How far outside the training data the path's inputs lie, >= 0: mean of what exceeds `USUAL` deviations.
        part: (S, 3), what each hop adds to its path: delay in s, variance of jitter in s^2, -ln(1 - loss).
    """

    logit_ok: Tensor
    log_rtt: Tensor
    log_jitter: Tensor
    logit_loss: Tensor
    mos: Tensor
    spread: Tensor
    strange: Tensor
    part: Tensor


def add_up(values: Tensor, index: Tensor, n: int) -> Tensor:
    """Sums of the rows of `values` that share an index; (K, C) and (K,) -> (n, C)."""
    wide = index[:, None].expand(-1, values.shape[1])  # (K, C)
    return values.new_zeros((n, values.shape[1])).scatter_add(0, wide, values)  # (n, C)


def perceptron(inputs: int, hidden: int, outputs: int, *, still: bool = False) -> nn.Sequential:
    """Two layers; with `still`, the last starts at zero, so that what it corrects starts uncorrected."""
    last = nn.Linear(hidden, outputs)
    if still:
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(inputs, hidden), nn.SiLU(), last)


_DELAY, _STRETCH, _JITTER, _LOSS = (
    columns.HOP.index(name) for name in ("log_delay", "log_stretch", "log_jitter", "loss")
)
_HEADROOM = columns.PATH.index("log_headroom")

HOP_VALUES = (
    "log_delay",
    "log_stretch",
    "log_jitter",
    "loss",
    "log_loss",
    "log_rate",
    "log_jitter_ratio",
    "utilisation",
    "queueing",
)
PATH_VALUES = (
    "log_rtt",
    "log_jitter",
    "loss",
    "log_loss",
    "worst_loss",
    "mos",
    "believed_good",
    "log_headroom",
    "utilisation",
    "queueing",
    "stretch",
)
"""Columns that get worse when a link does; all others are circumstances."""

_HOP_AROUND = [k for k, name in enumerate(columns.HOP) if name not in HOP_VALUES]
_PATH_AROUND = [k for k, name in enumerate(columns.PATH) if name not in PATH_VALUES]


def believed(hop: Tensor) -> Tensor:
    """Believed one-way delay (s), jitter (s) and loss exponent -ln(1 - loss) of hops; (S, Fh) -> (S, 3)."""
    delay = columns.DELAY_REFERENCE * torch.exp(hop[:, _DELAY])
    jitter = columns.JITTER_REFERENCE * torch.exp(hop[:, _JITTER])
    return torch.stack([delay, jitter, hop[:, _LOSS]], dim=1)


def usual(hop: Tensor) -> Tensor:
    """Logarithms of what hops would be like if nobody had measured them, (S, Fh) -> (S, 3)."""
    delay = math.log(columns.DELAY_REFERENCE) + hop[:, _DELAY] - hop[:, _STRETCH]
    jitter, loss = (math.log(x) + torch.zeros_like(delay) for x in (columns.UNKNOWN_JITTER, columns.UNKNOWN_LOSS))
    return torch.stack([delay, jitter, loss], dim=1)


def log_targets() -> list[list[float]]:
    """Logarithms of the bounds of each type of media: rtt, jitter and loss; what is not bounded gets a far bound."""
    targets = (quality.target(media) for media in MediaType)
    return [[math.log(min(bound, UNBOUNDED)) for bound in (t.rtt, t.jitter, t.loss)] for t in targets]


def voice_mos(delay: Tensor, jitter: Tensor, loss: Tensor) -> Tensor:
    """`mesh.quality.voice_mos` in torch, so that the exported head holds it; (P,) each -> (P,)."""
    heard = delay + quality.PACKETISATION + (quality.BUFFER_PER_JITTER * jitter).clamp(min=quality.BUFFER_FLOOR)
    x = torch.log2(heard.clamp(min=0.1) / 0.1)
    late = 25.0 * ((1 + x**6) ** (1 / 6) - 3 * (1 + (x / 3) ** 6) ** (1 / 6) + 2)
    percent = 100.0 * loss
    lost = quality.OPUS_NB_IE + (95.0 - quality.OPUS_NB_IE) * percent / (percent + quality.OPUS_NB_BPL)
    r = (quality.R_DEFAULT - late - lost).clamp(0.0, 100.0)
    return (1.0 + 0.035 * r + 7e-6 * r * (r - 60.0) * (100.0 - r)).clamp(min=1.0)


class Scale(nn.Module):
    """Standardises F columns with mean and deviation of the training data, kept in buffers and so in the artefact.

    A column that never varied in training is left out: what weighs it was drawn at the start and never learnt.
    """

    mean: Tensor
    deviation: Tensor
    varied: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))
        self.register_buffer("varied", torch.ones(features))

    def fit(self, rows: Tensor) -> None:
        """Takes mean and deviation from `rows` (K, F), and which columns vary."""
        deviation = rows.std(0, correction=0)
        self.mean.copy_(rows.mean(0))
        self.varied.copy_(deviation > LEAST_DEVIATION)
        self.deviation.copy_(torch.where(deviation > LEAST_DEVIATION, deviation, torch.ones_like(deviation)))

    def forward(self, rows: Tensor) -> Tensor:
        """Standardised and cut at 6 deviations, against inputs unlike any in training; (K, F) -> (K, F)."""
        return ((rows - self.mean) / self.deviation).clamp(-6.0, 6.0) * self.varied

    def excess(self, rows: Tensor) -> Tensor:
        """Mean over columns of the deviations beyond `USUAL`; (K, F) -> (K,)."""
        return (torch.abs((rows - self.mean) / self.deviation) - USUAL).clamp(min=0.0).mean(dim=1)


class Round(nn.Module):
    """One round of message passing: each node hears the mean of the messages on its incoming links.

    Messages are bounded and weigh by the reputation of who speaks: liars are heard, but not loudly.
    """

    def __init__(self, dimension: int, message: int, links: int) -> None:
        super().__init__()
        self.message = perceptron(2 * dimension + links, dimension, message)
        self.update = perceptron(dimension + message, dimension, dimension, still=True)
        self.norm = nn.LayerNorm(dimension)

    def forward(self, state: Tensor, link: Tensor, weight: Tensor, src: Tensor, dst: Tensor) -> Tensor:
        """(N, D), (E, Fl), (E, 1) > 0, (E,), (E,) -> (N, D)."""
        said = self.message(torch.cat([state[src], state[dst], link], dim=1)).clamp(-MOST_SAID, MOST_SAID)  # (E, M)
        heard = add_up(torch.cat([weight * said, weight], dim=1), dst, state.shape[0])  # (N, M + 1)
        mean = heard[:, :-1] / heard[:, -1:].clamp(min=LEAST_TRUST * UNOBSERVED_TRUST)  # (N, M)
        return torch.as_tensor(self.norm(state + self.update(torch.cat([state, mean], dim=1))))  # (N, D)


_LOW, _OBSERVED = columns.NODE.index("reputation_low"), columns.HOP.index("observed")


class Encoder(nn.Module):
    """Embeds the nodes of a view; exported as `encoder.onnx`."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.node_scale = Scale(len(columns.NODE))
        self.link_scale = Scale(len(columns.HOP))
        self.start = perceptron(len(columns.NODE), shape.dimension, shape.dimension)
        self.rounds = nn.ModuleList(
            Round(shape.dimension, shape.message, len(columns.HOP)) for _ in range(shape.rounds)
        )

    def forward(self, node: Tensor, link: Tensor, link_src: Tensor, link_dst: Tensor) -> Tensor:
        """(N, Fn), (E, Fl), (E,), (E,) -> (N, D)."""
        state = self.start(self.node_scale(node))  # (N, D)
        if not len(self.rounds):
            return torch.as_tensor(state)
        scaled = self.link_scale(link)  # (E, Fl)
        trust = LEAST_TRUST + (1.0 - LEAST_TRUST) * node[link_src, _LOW].clamp(0.0, 1.0)  # (E,)
        seen = UNOBSERVED_TRUST + (1.0 - UNOBSERVED_TRUST) * link[:, _OBSERVED].clamp(0.0, 1.0)  # (E,)
        weight = (trust * seen)[:, None]  # (E, 1)
        for step in self.rounds:
            state = step(state, scaled, weight, link_src, link_dst)  # (N, D)
        return torch.as_tensor(state)


class Head(nn.Module):
    """Scores the candidates of one call (in training: of many); exported as `head.onnx`."""

    typical: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        wide = 2 * shape.dimension
        self.hop_scale = Scale(len(columns.HOP))
        self.path_scale = Scale(len(columns.PATH))
        self.hop = perceptron(wide + len(_HOP_AROUND) + 1, wide, shape.dimension)
        self.correct = perceptron(shape.dimension, shape.dimension, 7, still=True)
        self.carry = nn.Linear(shape.dimension, shape.state)
        self.judge = perceptron(shape.state + len(_PATH_AROUND), wide, 6, still=True)
        self.width = perceptron(shape.state + len(columns.PATH) + 4, wide, 6, still=True)
        self.sharpness = nn.Parameter(torch.full((4,), math.log(4.0)))
        self.register_buffer("typical", torch.log(torch.expm1(torch.tensor(TYPICAL_SPREAD))))

    def forward(
        self, embedding: Tensor, hop: Tensor, hop_src: Tensor, hop_dst: Tensor, hop_path: Tensor, path: Tensor
    ) -> Prediction:
        """(N, D), (S, Fh), (S,), (S,), (S,), (P, Fp) -> five of (P,), (P, 6), (P,), (S, 3)."""
        known, prior = self.hop_scale(hop), usual(hop)  # (S, Fh), (S, 3)
        around = torch.cat([embedding[hop_src], embedding[hop_dst], known[:, _HOP_AROUND], prior[:, :1]], dim=1)
        state = nn.functional.silu(self.hop(around))  # (S, D)
        part = self._contributions(hop, prior, self.correct(state))  # (S, 3)
        unusual = self.hop_scale.excess(hop)[:, None]  # (S, 1)
        added = torch.cat([part, unusual, self.carry(state)], dim=1)  # (S, 4 + state)
        total = add_up(added, hop_path, path.shape[0])  # (P, 4 + state)
        log_rtt = torch.log(2.0 * total[:, 0] + LEAST_RTT)  # (P,)
        log_jitter = 0.5 * torch.log(total[:, 1] + LEAST_JITTER**2)  # (P,)
        survival = total[:, 2] + LEAST_LOSS  # (P,) = -log(1 - loss)
        # log(expm1(x)) as log(x) + x / 2 + x^2 / 24: ONNX has no expm1, and exp(x) - 1 loses all digits of a small x
        logit_loss = torch.log(survival) + survival / 2 + survival**2 / 24  # (P,)
        mos = voice_mos(0.5 * torch.exp(log_rtt), torch.exp(log_jitter), 1.0 - torch.exp(-survival))  # (P,)
        scaled = self.path_scale(path)  # (P, Fp)
        last = self.judge(torch.cat([total[:, 4:], scaled[:, _PATH_AROUND]], dim=1))  # (P, 6)
        measures = torch.stack([log_rtt, log_jitter, torch.log(survival)], dim=1)  # (P, 3)
        within = self._within(measures, path, last[:, 2:])  # (P,)
        logit_ok = (within + last[:, 0]).clamp(-MOST_LOGIT, MOST_LOGIT)  # (P,)
        seen = torch.stack([log_rtt, log_jitter, 0.2 * torch.log(survival), mos], dim=1)  # (P, 4)
        ends = self.width(torch.cat([total[:, 4:], scaled, seen], dim=1))  # (P, 6)
        spread = nn.functional.softplus(ends + self.typical)  # (P, 6)
        strange = self.path_scale.excess(path) + total[:, 3]  # (P,)
        return Prediction(logit_ok, log_rtt, log_jitter, logit_loss, mos + last[:, 1], spread, strange, part)

    def _contributions(self, hop: Tensor, prior: Tensor, correction: Tensor) -> Tensor:
        """What each hop adds to its path: delay, jitter variance, loss exponent; all positive; -> (S, 3)."""
        level = prior + correction[:, :3].clamp(-CORRECTION, CORRECTION)  # (S, 3)
        trust = MOST_TRUST * torch.sigmoid(correction[:, 3:6] + FULL_TRUST)  # (S, 3), 1 when untrained
        part = torch.exp(level + trust * (torch.log(believed(hop) + LEAST_BELIEVED) - prior))  # (S, 3)
        # exp(-softplus(-x)) is sigmoid(x); onnxruntime's own sigmoid has few right digits where it is small
        unseen = MOST_UNSEEN * torch.exp(-nn.functional.softplus(UNSEEN_OFFSET - correction[:, 6]))  # (S,)
        return torch.stack([part[:, 0], part[:, 1] ** 2, part[:, 2] + unseen], dim=1)

    def _within(self, measures: Tensor, path: Tensor, sharper: Tensor) -> Tensor:
        """Log-odds that three measures and the spare rate are within bounds: minus the soft maximum; (P,).

        Args:
            measures: (P, 3) logarithms of RTT, jitter and loss.
            path: (P, Fp).
            sharper: (P, 4), logarithms of how much sharper than usual each bound is.
        """
        media = path[:, MEDIA]  # (P, 3)
        bounds = media @ torch.tensor(log_targets(), dtype=media.dtype)  # (P, 3)
        excess = torch.cat([measures - bounds, -path[:, _HEADROOM:][:, :1]], dim=1)  # (P, 4)
        sharp = torch.exp(self.sharpness + sharper.clamp(-2.0, 2.0))  # (P, 4)
        return -torch.logsumexp(sharp * excess, dim=1)  # (P,)


class RouteScorer(nn.Module):
    """Encoder and head together, for training."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.encoder = Encoder(shape)
        self.head = Head(shape)
