from __future__ import annotations

from pathlib import Path

import pytest

from meshsim.identity import Ed25519Signer
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.ids import did_key
from meshsim.node.config import ROOM, NodeConfig, load_config
from meshsim.scenario.nodes import MaxCalls

GOOD = """\
aura: "@alice.aura"
key: alice.key
registry: http://127.0.0.1:8420
role: relay
neighbours:
  - {neighbour}
agent:
  heartbeat: 2.5
"""
NEIGHBOUR = did_key(Ed25519Signer.from_seed(bytes(32)).node_id)


def written(folder: Path, text: str) -> Path:
    path = folder / "alice.yaml"
    path.write_text(text.replace("{neighbour}", NEIGHBOUR), encoding="utf-8")
    return path


def test_a_file_says_what_it_says_and_defaults_fill_the_rest(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, GOOD))
    assert (config.aura, config.role, config.agent.heartbeat) == ("@alice.aura", "relay", 2.5)
    assert [did_key(node) for node in config.neighbour_ids] == [NEIGHBOUR]
    assert (config.policy, config.reputation, config.misbehaviour, config.nat) == ("learned", "beta", "honest", "open")
    assert config.signer_id is None


def test_a_file_may_say_who_must_have_signed_the_scorer(tmp_path: Path) -> None:
    signer = load_config(written(tmp_path, GOOD + f"model_signer: {NEIGHBOUR}\n")).signer_id
    assert signer is not None
    assert did_key(signer) == NEIGHBOUR


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "nearest"),
    [
        ("role: relay", "rol: relay", 4, "rol", "role"),
        ("role: relay", "role: relai", 4, "role", "relay"),
        ("role: relay", "nat: symetric", 4, "nat", "symmetric"),
        ("role: relay", "policy: shortes", 4, "policy", "shortest"),
        ("role: relay", "reputation: betta", 4, "reputation", "beta"),
        ("role: relay", "misbehaviour: grey_hole", 4, "misbehaviour", "gray_hole"),
        ("heartbeat", "hartbeat", 8, "agent.hartbeat", "heartbeat"),
        ("heartbeat: 2.5", "heartbeat: soon", 8, "agent.heartbeat", None),
        ("heartbeat: 2.5", "newcomers: 1.5", 8, "agent.newcomers", None),
        ("role: relay", "latitude: 120.5", 4, "latitude", None),
        ("role: relay", "model_signer: did:key:zNonsense", 4, "model_signer", None),
        ("role: relay", "emulator: here", 4, "emulator", None),
        ("role: relay", "callers: [bob]", 4, "callers", None),
        ('"@alice.aura"', "alice", 1, "aura", None),
        ("- {neighbour}", "- did:key:zNonsense", 5, "neighbours", None),
        ("http://127", "ftp://127", 3, "registry", None),
        ("role: relay", "attack: {also: [grey_hole]}", 4, "attack", "gray_hole"),
        ("role: relay", "attack: {friends: [bob]}", 4, "attack", None),
        ("role: relay", "attack: {duty: 2.0}", 4, "attack", None),
        ("role: relay", "attack: {dutty: 0.5}", 4, "attack.dutty", "duty"),
    ],
)
def test_a_mistake_is_told_with_file_line_key_and_nearest(
    old: str, new: str, line: int, key: str, nearest: str | None, tmp_path: Path
) -> None:
    path = written(tmp_path, GOOD.replace(old, new))
    with pytest.raises(ConfigError) as told:
        load_config(path)
    assert (told.value.file, told.value.line, told.value.key) == (str(path), line, key)
    assert told.value.nearest == nearest


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the key 'key' is missing"):
        load_config(written(tmp_path, GOOD.replace("key: alice.key\n", "")))


@pytest.mark.parametrize(
    ("text", "line"), [("aura: [1", 1), ("a: 1\nb: c: d\n", 2), ("- just\n- a list\n", 1), ("a word", 1)]
)
def test_what_is_no_mapping_in_yaml_is_told_with_its_line(text: str, line: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as told:
        load_config(written(tmp_path, text))
    assert told.value.line == line


def test_a_file_that_is_not_there_is_no_traceback(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "nobody.yaml")


def test_a_configuration_made_in_a_program_is_held_to_the_same_names() -> None:
    with pytest.raises(ConfigError, match="relai"):
        NodeConfig(aura="@a.aura", key="a.key", registry="http://127.0.0.1:1", role="relai")


def test_the_environment_beats_the_file_and_the_command_line_beats_both(tmp_path: Path) -> None:
    environment = {
        "MESHSIM_NODE_AURA": "@carol.aura",
        "MESHSIM_NODE_ROLE": "edge",
        "MESHSIM_NODE_AGENT__KEEPALIVE": "0.25",
        "MESHSIM_NODE_ADDRESSES": "[127.0.0.1, 127.0.0.2]",
        "MESHSIM_NODE_TRACE": "42",
        "MESHSIM_DATA_DIR": "/elsewhere",
    }
    path = written(tmp_path, GOOD)
    config = load_config(path, environment, ["role=super_node", "agent.keepalive=0.5", "max_calls=7"])
    assert (config.aura, config.role, config.max_calls, config.trace) == ("@carol.aura", "super_node", 7, "42")
    assert (config.agent.heartbeat, config.agent.keepalive) == (2.5, 0.5)
    assert config.addresses == ("127.0.0.1", "127.0.0.2")
    assert load_config(path, environment).role == "edge"
    assert load_config(path, {}).role == "relay"


@pytest.mark.parametrize(
    ("said", "source", "key", "nearest"),
    [
        ("MESHSIM_NODE_ROL=relay", "MESHSIM_NODE_ROL", "rol", "role"),
        ("MESHSIM_NODE_ROLE=relai", "MESHSIM_NODE_ROLE", "role", "relay"),
        ("MESHSIM_NODE_AGENT__HARTBEAT=3", "MESHSIM_NODE_AGENT__HARTBEAT", "agent.hartbeat", "heartbeat"),
        ("MESHSIM_NODE_AGENDA__HEARTBEAT=3", "MESHSIM_NODE_AGENDA__HEARTBEAT", "agenda", "agent"),
        ("MESHSIM_NODE_MAX_CALLS=many", "MESHSIM_NODE_MAX_CALLS", "max_calls", None),
        ("rol=relay", "--set rol=relay", "rol", "role"),
        ("agent.keepalive=0", "--set agent.keepalive=0", "agent.keepalive", None),
        ("metrics=here", "--set metrics=here", "metrics", None),
        ("log=jason", "--set log=jason", "log", "json"),
        ("neighbours=[bob]", "--set neighbours=[bob]", "neighbours", None),
        ("role", None, "--set", None),
    ],
)
def test_a_mistake_outside_the_file_is_told_with_where_it_was_said(
    said: str, source: str | None, key: str, nearest: str | None, tmp_path: Path
) -> None:
    name, _, value = said.partition("=")
    variables = {name: value} if name.startswith("MESHSIM") else {}
    with pytest.raises(ConfigError) as told:
        load_config(written(tmp_path, GOOD), variables, [] if variables else [said])
    assert (told.value.file, told.value.line, told.value.key) == (source, None, key)
    assert told.value.nearest == nearest


def test_a_mistake_in_the_file_is_the_files_though_others_spoke(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as told:
        load_config(written(tmp_path, GOOD.replace("role: relay", "nat: symetric")), {}, ["seed=2"])
    assert (told.value.line, told.value.key) == (4, "nat")


@pytest.mark.parametrize(
    ("said", "room"),
    [
        (["role=peer"], 0),
        (["role=edge"], 4),
        (["role=relay"], 24),
        (["role=super_node"], 80),
        (["role=relay", "max_calls=3"], 3),
        (["role=peer", "max_calls=3"], 3),
        (["role=super_node", "carries=false"], 0),
    ],
)
def test_a_role_says_how_many_calls_are_carried_unless_the_owner_does(
    said: list[str], room: int, tmp_path: Path
) -> None:
    assert load_config(written(tmp_path, GOOD), {}, said).room == room


def test_roles_have_as_much_room_as_in_scenarios() -> None:
    usual = MaxCalls()
    assert {"peer": 0, "edge": usual.edge, "relay": usual.relay, "super_node": usual.super_node} == ROOM


def test_a_node_answers_beside_its_key_unless_it_says_where(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    assert load_config(path, {}).socket == Path("alice.key.sock")
    assert load_config(path, {}, ["control=/run/meshsim/alice"]).socket == Path("/run/meshsim/alice")
