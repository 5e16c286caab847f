"""What one real node is told at its start: a YAML or JSON file, then the environment, then the command line.

What is said later counts: `MESHSIM_NODE_MAX_CALLS=8` beats the file's `max_calls`, `--set max_calls=8` beats both.
A key below another is `MESHSIM_NODE_AGENT__HEARTBEAT` and `--set agent.heartbeat=2`. Values are YAML.
"""

from __future__ import annotations

import os
import re
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from meshsim.agent import AgentConfig
from meshsim.agent.adversary import adversaries
from meshsim.mesh.errors import ConfigError, IdentityError, nearest
from meshsim.mesh.ids import AuraID, NodeId, from_did_key
from meshsim.mesh.media import PROFILES
from meshsim.mesh.view import Nat, Role
from meshsim.node.attack import AttackConfig
from meshsim.routing.policies import POLICIES
from meshsim.trust import make_model, models

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from meshsim.trust import ReputationModel

Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
NO_REGISTRY = "none"
_REGISTRY = re.compile(r"https?://[^/\s]+/?")
_ADDRESS = re.compile(r"[^\s:]+:\d{1,5}")
_PREFIX = "MESHSIM_NODE_"
ROOM = {"peer": 0, "edge": 4, "relay": 24, "super_node": 80}
"""Calls carried for others at most, by role, as in scenarios."""
LIVE = AgentConfig(
    heartbeat=5.0,
    probe_period=1.0,
    digest_period=5.0,
    keepalive=0.08,
    hurry=0.3,
    standby=True,
    relay_first=True,
    inquire=True,
)
"""How the agents of nodes behave whose file says nothing else: a dead relay is noticed within a third of a second."""
_PERIODS = ("heartbeat", "probe_period", "digest_period", "keepalive")
"""Of an agent: without time between them, what is done again and again would leave none for anything else."""


class NodeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One node.

    Attributes:
        aura: The person it belongs to, `@alice.aura`.
        key: File of its Ed25519 key (`meshsim node keygen`).
        registry: Where nodes meet, `http://host:port`; `none` for one whose links are made by hand at first.
        role: `peer`, `edge`, `relay` or `super_node`.
        nat: `open`, `cone`, `port_restricted` or `symmetric`, as known to its owner.
        latitude, longitude: Degrees; they predict delay where nothing was measured.
        aic: Whether it supports AIC.
        aic_profile: What AIC saves of what this node says: `brief`, `lyra`, `gfvc` or `neural_video`.
        capacity_bps: Access rate, bits per second.
        max_calls: Calls carried for others at most; by its role when absent.
        carries: Whether it carries calls for others at all.
        neighbours: `did:key` of nodes to keep a link with.
        addresses: Local IPv4 addresses to use.
        policy: Who ranks routes.
        model: Artefact of the learned policy; the packaged one when absent.
        model_signer: `did:key` of the operator who must have signed it (`meshsim models sign`); anybody when absent.
        candidates: Most paths to score.
        fallbacks: Paths kept in reserve.
        trust_floor: Reputation (0..100) below which a node relays no calls of ours.
        reputation: The reputation model.
        reputation_half_life: Seconds after which evidence counts half; the model's own when absent.
        reputation_parameters: Further parameters of the model.
        emulator: `host:port` of a link emulator's control socket; every datagram then passes through it.
        traffic: File to count datagrams in.
        anchors: `did:key` of nodes that are known to be honest by other means; their word counts from the start.
        moderators: `did:key` of nodes whose rulings on abuse count; without any, reports of abuse have no effect here.
        callers: Who is answered, as in `@alice.aura`; anybody when absent.
        receipts: File to append every receipt to that is taken in (`meshsim node replay`).
        trace: Folder to write the node's trace to.
        control: Unix socket at which the running node answers (`meshsim node status`); beside its key when absent.
        metrics: `host:port` at which it answers Prometheus; nowhere when absent.
        drain: Seconds that a leaving node waits for the calls it carries to move elsewhere.
        events: Whether what it does is told as JSON lines on standard output.
        log: `json` for a log on standard error, with `call_id` and `route_id`; `none`.
        misbehaviour: `honest`, or how it misbehaves: for experiments.
        strength: Of the misbehaviour.
        attack: What else a misbehaving node does, when, with whom and against whom.
        seed: Of its draws.
        agent: Periods and limits of the agent; what is not said is as in `LIVE`.
        stdio: Whether it takes commands as JSON lines from its standard input, and ends with it.
    """

    aura: str
    key: str
    registry: str
    role: str = "peer"
    nat: str = "open"
    latitude: Annotated[float, msgspec.Meta(ge=-90.0, le=90.0)] = 0.0
    longitude: Annotated[float, msgspec.Meta(ge=-180.0, le=180.0)] = 0.0
    aic: bool = False
    aic_profile: str = "brief"
    capacity_bps: Annotated[float, msgspec.Meta(gt=0.0)] = 10e6
    max_calls: Annotated[int, msgspec.Meta(ge=0, le=100_000)] | None = None
    carries: bool = True
    neighbours: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ("127.0.0.1",)
    policy: str = "learned"
    model: str | None = None
    model_signer: str | None = None
    candidates: Annotated[int, msgspec.Meta(ge=1, le=64)] = 16
    fallbacks: Annotated[int, msgspec.Meta(ge=0, le=16)] = 2
    trust_floor: Annotated[float, msgspec.Meta(ge=0.0, le=100.0)] = 30.0
    reputation: str = "beta"
    reputation_half_life: Annotated[float, msgspec.Meta(gt=0.0)] | None = None
    reputation_parameters: dict[str, float] = {}
    emulator: str | None = None
    traffic: str | None = None
    anchors: tuple[str, ...] = ()
    moderators: tuple[str, ...] = ()
    callers: tuple[str, ...] = ()
    receipts: str | None = None
    trace: str | None = None
    control: str | None = None
    metrics: str | None = None
    drain: Annotated[float, msgspec.Meta(ge=0.0, le=3600.0)] = 10.0
    events: bool = True
    log: str = "none"
    misbehaviour: str = "honest"
    strength: Share = 1.0
    attack: AttackConfig = AttackConfig()
    seed: int = 1
    agent: AgentConfig = LIVE
    stdio: bool = False

    def __post_init__(self) -> None:
        _check("aura", (self.aura,), AuraID.parse, "@name.aura", "@name.aura:domain")
        _check("callers", self.callers, AuraID.parse, "@name.aura")
        signers = () if self.model_signer is None else (self.model_signer,)
        named = {"neighbours": self.neighbours, "anchors": self.anchors, "moderators": self.moderators}
        for key, texts in {**named, "model_signer": signers}.items():
            _check(key, texts, from_did_key, "did:key:z... (meshsim node keygen prints it)")
        for key in _PERIODS:
            if not getattr(self.agent, key) > 0.0:
                problem = f"out of range: {getattr(self.agent, key):g}"
                raise ConfigError(problem, key=f"agent.{key}", allowed=["> 0 (seconds)"])
        for key, known in _choices().items():
            name = getattr(self, key)
            if name not in known:
                raise ConfigError(
                    f"not one of the allowed values: {name!r}",
                    key=key,
                    allowed=list(known),
                    nearest=nearest(name, known),
                )
        if self.registry != NO_REGISTRY and not _REGISTRY.fullmatch(self.registry):
            allowed = ["http://host:port", NO_REGISTRY]
            raise ConfigError(f"not a registry's address: {self.registry!r}", key="registry", allowed=allowed)
        for key, address in {"emulator": self.emulator, "metrics": self.metrics}.items():
            if address is not None and not _ADDRESS.fullmatch(address):
                raise ConfigError(f"not an address: {address!r}", key=key, allowed=["host:port"])
        self.make_model()

    @property
    def neighbour_ids(self) -> tuple[NodeId, ...]:
        """The neighbours' node ids."""
        return tuple(from_did_key(text) for text in self.neighbours)

    @property
    def anchor_ids(self) -> tuple[NodeId, ...]:
        """The anchors' node ids."""
        return tuple(from_did_key(text) for text in self.anchors)

    @property
    def signer_id(self) -> NodeId | None:
        """The operator who must have signed the scorer."""
        return None if self.model_signer is None else from_did_key(self.model_signer)

    @property
    def room(self) -> int:
        """Calls carried for others at most, as it says or as is usual for its role."""
        if not self.carries:
            return 0
        return ROOM[self.role] if self.max_calls is None else self.max_calls

    @property
    def socket(self) -> Path:
        """Where the running node answers."""
        return Path(self.key + ".sock") if self.control is None else Path(self.control)

    @property
    def behaviour(self) -> AgentConfig:
        """How its agent behaves: it gives receipts out where they are kept."""
        moderators = (*self.agent.moderators, *(from_did_key(text) for text in self.moderators))
        logs = self.agent.logs_receipts or self.receipts is not None
        callers = (*self.agent.callers, *(AuraID.parse(text).name for text in self.callers))
        return replace(self.agent, logs_receipts=logs, moderators=moderators, callers=callers)

    def make_model(self) -> ReputationModel:
        """Its reputation model, new.

        Raises:
            ConfigError: If the model has no such parameter, or not such a value of it.
        """
        try:
            return make_model(
                self.reputation, half_life=self.reputation_half_life, parameters=self.reputation_parameters
            )
        except ConfigError as wrong:
            key = (wrong.key or "").replace("trust.parameters", "reputation_parameters")
            raise ConfigError(wrong.message, key=key, allowed=wrong.allowed, nearest=wrong.nearest) from wrong


def _check(key: str, texts: Sequence[str], parse: Callable[[str], object], *allowed: str) -> None:
    for text in texts:
        try:
            parse(text)
        except IdentityError as wrong:
            raise ConfigError(str(wrong), key=key, allowed=allowed) from wrong


def _choices() -> dict[str, Collection[str]]:
    """What the keys that name something may say."""
    return {
        "role": [role.name.lower() for role in Role],
        "nat": [nat.name.lower() for nat in Nat],
        "policy": POLICIES,
        "reputation": models,
        "misbehaviour": ["honest", *adversaries],
        "aic_profile": list(PROFILES),
        "log": ["none", "json"],
    }


def load_config(path: Path, environment: Mapping[str, str] | None = None, said: Sequence[str] = ()) -> NodeConfig:
    """The node that `path` describes, as changed by the environment and the command line.

    Args:
        path: The file.
        environment: Variables; those that begin with `MESHSIM_NODE_` are keys. This process's when absent.
        said: `key=value`, as on the command line.

    Raises:
        ConfigError: With file and line, variable or option; key, what is allowed and what is nearest.
    """
    text = _read(path)
    plain = _mapping(path, text)
    sources: dict[str, str] = {}
    changes = [*_of_environment(os.environ if environment is None else environment), *_of_line(said)]
    for source, key, value in changes:
        _put(plain, key, value, source)
        sources[key] = source
    try:
        for part, kind in (("agent", AgentConfig), ("attack", AttackConfig)):
            _check_keys(part, plain.get(part), [field.name for field in fields(kind)])
        if isinstance(plain.get("agent"), dict):
            plain["agent"] = {**asdict(LIVE), **plain["agent"]}
        return msgspec.convert(plain, NodeConfig)
    except msgspec.ValidationError as wrong:
        raise _placed(_explain(str(wrong)), path, text, sources) from wrong
    except ConfigError as wrong:
        raise _placed(wrong, path, text, sources) from wrong


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as wrong:
        raise ConfigError(f"cannot be read: {wrong}", file=str(path)) from wrong


def _mapping(path: Path, text: str) -> dict[str, Any]:
    try:
        plain = YAML(typ="safe").load(text)
    except MarkedYAMLError as wrong:
        line = wrong.problem_mark.line + 1 if wrong.problem_mark else None
        raise ConfigError(f"not YAML: {wrong.problem}", file=str(path), line=line) from wrong
    except YAMLError as wrong:
        raise ConfigError(f"cannot be read: {wrong}", file=str(path)) from wrong
    if not isinstance(plain, dict):
        known = NodeConfig.__struct_fields__
        raise ConfigError("a node's file is a mapping of keys to values", file=str(path), line=1, allowed=known)
    return plain


def _of_environment(variables: Mapping[str, str]) -> Iterator[tuple[str, str, Any]]:
    """Source, key and value of each variable that speaks of this node."""
    for name in sorted(variables):
        if name.startswith(_PREFIX):
            key = name.removeprefix(_PREFIX).lower().replace("__", ".")
            yield name, key, _value(key, variables[name])


def _of_line(said: Sequence[str]) -> Iterator[tuple[str, str, Any]]:
    for word in said:
        key, sign, text = word.partition("=")
        if not sign or not key:
            raise ConfigError(f"not a setting: {word!r}", key="--set", allowed=["key=value"])
        yield f"--set {word}", key.strip(), _value(key.strip(), text)


def _value(key: str, text: str) -> Any:
    """What `text` says of `key`: as it stands where a word is wanted, else read as YAML."""
    kind = NodeConfig.__annotations__.get(key, "")
    if kind.startswith("str"):
        return text or (None if "None" in kind else "")
    try:
        return YAML(typ="safe").load(text)
    except YAMLError:
        return text


def _put(plain: dict[str, Any], key: str, value: Any, source: str) -> None:
    """Puts a value where the dotted `key` says; whether there is such a key, the reader of the whole will tell."""
    *above, last = key.split(".")
    place = plain
    for part in above:
        if part not in NodeConfig.__struct_fields__:
            known = NodeConfig.__struct_fields__
            raise ConfigError("unknown key", file=source, key=part, allowed=known, nearest=nearest(part, known))
        below = place.get(part)
        place[part] = dict(below) if isinstance(below, dict) else {}
        place = place[part]
    place[last] = value


_WHERE = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<at>[^`\[]*)[^`]*`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>.*)`")
_MISSING = re.compile(r"Object missing required field `(?P<key>.*)`")
_EXPECTED = re.compile(r"Expected `(?P<kind>\w+)(?: \| null)?`(?P<bounds>[^,]*)")
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a word",
    "bool": "true or false",
    "array": "[one, another]",
    "object": "{key: value}",
}
"""How what msgspec expects is written."""


def _check_keys(part: str, said: object, known: Sequence[str]) -> None:
    """Looks for wrong keys below `part`: msgspec reads a dataclass and passes over them."""
    for key in said if isinstance(said, dict) else ():
        if key not in known:
            raise _unknown_key(str(key), known, f"{part}.")


def _unknown_key(key: str, known: Sequence[str], below: str = "") -> ConfigError:
    return ConfigError("unknown key", key=below + key, allowed=known, nearest=nearest(key, known))


def _explain(told: str) -> ConfigError:
    """What msgspec told of a file, in the words that every other wrong file is answered with."""
    found = _WHERE.fullmatch(told)
    what, at = (found["what"], found["at"] or "") if found else (told, "")
    if unknown := _UNKNOWN.fullmatch(what):
        return _unknown_key(unknown["key"], NodeConfig.__struct_fields__)
    if missing := _MISSING.fullmatch(what):
        key = ".".join(part for part in (at, missing["key"]) if part)
        return ConfigError(f"the key {missing['key']!r} is missing", key=key, allowed=NodeConfig.__struct_fields__)
    expected = _EXPECTED.match(what)
    allowed = [_KINDS.get(expected["kind"], expected["kind"]) + expected["bounds"]] if expected else []
    return ConfigError(what[:1].lower() + what[1:], key=at or None, allowed=allowed)


def _placed(wrong: ConfigError, path: Path, text: str, sources: Mapping[str, str]) -> ConfigError:
    """The error with the place where the key was said last."""
    from meshsim.scenario.text import parse  # noqa: PLC0415 - half a second that only a wrong file costs

    key = wrong.key or ""
    source = next((sources[at] for at in reversed(list(sources)) if at == key or at.startswith(f"{key}.")), None)
    # what stands nowhere in the file is missing from its beginning
    line = None if source else parse(text, file=str(path)).line(tuple(key.split("."))) or 1
    return ConfigError(
        wrong.message, file=source or str(path), line=line, key=wrong.key, allowed=wrong.allowed, nearest=wrong.nearest
    )
