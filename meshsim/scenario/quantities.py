"""Types of scenario fields: quantities written with a unit (SI once validated), names checked against what exists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from meshsim.mesh import units
from meshsim.mesh.errors import ConfigError, IdentityError, nearest
from meshsim.mesh.ids import AuraID
from meshsim.mesh.registry import group_of


def refuse(
    message: str, *, allowed: Sequence[str] = (), near: str | None = None, at: Sequence[str | int] | None = None
) -> PydanticCustomError:
    """The error of a field, carrying what the person needs to mend it.

    Args:
        message: What is wrong, with the offending value.
        allowed: What would have been accepted.
        near: The accepted value nearest to what was written.
        at: Where, from the root of the scenario, when it is not the field being validated.
    """
    place = list(at) if at is not None else None
    context = {"message": message, "allowed": list(allowed), "nearest": near, "at": place}
    return PydanticCustomError("scenario", "{message}", context)


def _parser(kind: str) -> Callable[[object], float]:
    def parse(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise refuse(f"not a {kind}: {value!r}", allowed=units.written(kind))
        try:
            return units.parse(value, kind)
        except ConfigError as error:
            raise refuse(error.message, allowed=error.allowed) from error
        except OverflowError as error:
            raise refuse(f"not a {kind}: the number is too large") from error

    return parse


_finite = Field(allow_inf_nan=False)

LONGEST = 1e9
"""Seconds, and metres: thirty years, and more than twice the way to the moon. Nanoseconds of it fit 64 bits."""

SHORTEST_PERIOD = 0.01
"""Seconds between two things that happen again and again."""

SLOWEST, FASTEST = 1.0, 1e15
"""Bits per second."""

Duration = Annotated[
    float, _finite, Field(ge=0, le=LONGEST), BeforeValidator(_parser("duration"), json_schema_input_type=float | str)
]
"""Seconds; written `20ms`, `5 min` or a bare number of seconds."""

PositiveDuration = Annotated[
    float, _finite, Field(gt=0, le=LONGEST), BeforeValidator(_parser("duration"), json_schema_input_type=float | str)
]
"""Seconds, more than zero."""

Period = Annotated[
    float,
    _finite,
    Field(ge=SHORTEST_PERIOD, le=LONGEST),
    BeforeValidator(_parser("duration"), json_schema_input_type=float | str),
]
"""Seconds between two things that happen again and again; at least 10 ms."""

Rate = Annotated[
    float, _finite, Field(ge=SLOWEST, le=FASTEST), BeforeValidator(_parser("rate"), json_schema_input_type=float | str)
]
"""Bits per second; written `5 Mbps`."""

Distance = Annotated[
    float, _finite, Field(ge=0, le=LONGEST), BeforeValidator(_parser("distance"), json_schema_input_type=float | str)
]
"""Metres; written `200 km`."""

Extent = Annotated[
    float, _finite, Field(gt=0, le=LONGEST), BeforeValidator(_parser("distance"), json_schema_input_type=float | str)
]
"""Metres, more than zero."""

Probability = Annotated[
    float, _finite, Field(ge=0, le=1), BeforeValidator(_parser("probability"), json_schema_input_type=float | str)
]
"""In [0, 1]; written `1.2%` or `0.012`."""


def _number(value: object) -> object:
    if isinstance(value, (bool, str)):
        raise refuse(f"not a number: {value!r}", allowed=["a number, without unit"])
    return 0.0 if value == 0.0 else value  # -0.0 is a number too, but a negative one to some who read it


Number = Annotated[float, _finite, BeforeValidator(_number, json_schema_input_type=float)]
"""A plain number, without unit."""

_MOST = 1_000_000

Count = Annotated[int, Field(strict=True, ge=0, le=_MOST)]
"""A whole number from 0."""

Flag = Annotated[bool, Field(strict=True)]
"""true or false."""


def _amount(value: object) -> int | float:
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > _MOST:  # pydantic asks whether it is finite as a float, and the largest of these are none
            raise refuse("out of range: the number is too large", allowed=[f"0 to {_MOST}"])
        return value
    share = _parser("probability")(value)
    if share > 1:
        problem = f"neither a whole number of nodes nor a share of them: {value!r}"
        raise refuse(problem, allowed=["<whole number>", "<number>%"])
    return share


Amount = Annotated[
    int | float, _finite, Field(ge=0), BeforeValidator(_amount, json_schema_input_type=int | float | str)
]
"""A number of nodes (whole number) or a share of all nodes (`25%`, `0.25`)."""


def _aura(value: str) -> str:
    try:
        return str(AuraID.parse(value))
    except IdentityError as error:
        raise refuse(str(error), allowed=["@name.aura", "@name.aura:domain"]) from error


Aura = Annotated[str, AfterValidator(_aura)]
"""An AuraID, `@name.aura` or `@name.aura:domain`; kept case-folded."""


def _domain(value: str) -> str:
    try:
        return AuraID("a", value.casefold()).domain
    except IdentityError as error:
        raise refuse(str(error), allowed=["", "<domain name>"]) from error


Domain = Annotated[str, AfterValidator(_domain)]
"""A federated domain, or "" for home; kept case-folded."""


def known_name(kind: str, builtin: Sequence[str]) -> Callable[[str], str]:
    """A validator of names of exchangeable parts: the `builtin` ones and those that installed packages add.

    Args:
        kind: As the part's `Registry` has it.
        builtin: What the package itself brings; a test holds them to the registries, which this layer may not import.
    """

    def check(value: str) -> str:
        if value not in builtin:
            names = sorted({*builtin, *(point.name for point in entry_points(group=group_of(kind)))})
            if value not in names:
                raise refuse(f"unknown {kind} {value!r}", allowed=names, near=nearest(value, names))
        return value

    return check


POLICY_NAMES = (
    "direct",
    "hop",
    "shortest",
    "delay",
    "widest",
    "widest-shortest",
    "shortest-widest",
    "ecmp",
    "k-shortest",
    "random-relay",
    "q-routing",
    "via",
    "weighted",
    "greedy-reputation",
    "physics",
    "learned",
    "exploring",
)
ORACLE = "oracle"
"""The policy that sees the truth: it exists in the simulator alone, and under the modelled control plane."""

PROTOCOL_NAMES = ("linkstate", "olsr", "babel", "aodv", "batman", "backpressure")
REPUTATION_NAMES = (
    "additive",
    "beta",
    "beta-cusum",
    "credibility",
    "eigentrust",
    "gossipsub",
    "meritrank",
    "peertrust",
    "subjective_logic",
    "sybilrank",
)
AGENT_MISBEHAVIOURS = (
    "black_hole",
    "gray_hole",
    "selective",
    "on_off",
    "milking",
    "bad_mouthing",
    "ballot_stuffing",
    "self_dealing",
    "withholding",
    "collusion",
    "camouflage",
    "sybil",
    "wormhole",
    "lying_metrics",
    "poisoning",
)
"""What a single node can do, simulated or real."""

MISBEHAVIOUR_NAMES = (*AGENT_MISBEHAVIOURS, "whitewashing", "report_spam", "hostile_domain")

PolicyName = Annotated[str, AfterValidator(known_name("routing policy", (*POLICY_NAMES, ORACLE)))]
"""A routing policy."""

ProtocolName = Annotated[str, AfterValidator(known_name("routing protocol", ("", *PROTOCOL_NAMES)))]
"""A routing protocol, or "" for the engine."""

ProcessName = Annotated[str, AfterValidator(known_name("world process", ()))]
"""A world process that an installed package brings."""

ReputationName = Annotated[str, AfterValidator(known_name("reputation model", REPUTATION_NAMES))]
"""A reputation model."""

Misbehaviour = Annotated[str, AfterValidator(known_name("misbehaviour", MISBEHAVIOUR_NAMES))]
"""A way to misbehave."""

Behaviour = Annotated[str, AfterValidator(known_name("misbehaviour", ("honest", *MISBEHAVIOUR_NAMES)))]
"""`honest`, or a way to misbehave."""

PartName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9_-]{0,30}[a-z0-9])?$")]
"""1 to 32 of a-z 0-9 _ -, starting and ending with a letter or digit."""
