"""Loading scenario files: what is right is read, and what is wrong is one error that says where and what instead."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim import scenario
from meshsim.mesh.errors import ConfigError
from meshsim.scenario.text import parse

SMALL = "nodes:\n  count: 6\n  named:\n    - {name: alice}\n    - {name: bob, role: relay}\n"


@pytest.fixture
def write(tmp_path: Path):
    def keep(text: str) -> Path:
        path = tmp_path / "case.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return keep


def refused(path: Path, *overrides: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        scenario.load(path, overrides)
    return caught.value


def test_an_empty_file_is_the_default_scenario(write):
    assert scenario.load(write("")) == scenario.Scenario()


def test_units_are_si_after_loading(write):
    loaded = scenario.load(write("duration: 40 min\nunderlay: {capacity: 5 Mbps, loss: 1.2%, hop_cost: 200 km}\n"))
    assert loaded.duration == 2400.0
    assert loaded.underlay.capacity == 5e6
    assert loaded.underlay.loss == pytest.approx(0.012)
    assert loaded.underlay.hop_cost == 200e3


def test_canonical_text_is_equal_for_equal_scenarios_however_they_are_written(write):
    first = scenario.canonical(scenario.load(write("duration: 2 min\nname: a\n")))
    second = scenario.canonical(scenario.load(write("name: a\nduration: 120\n")))
    third = scenario.canonical(scenario.load(write("name: a\nduration: 121\n")))
    assert first == second
    assert first != third


def test_canonical_text_loads_to_the_same_scenario(write):
    loaded = scenario.load("tiny")
    assert scenario.load(write(scenario.canonical(loaded))) == loaded


@pytest.mark.parametrize(
    ("text", "line", "key", "fragment", "near"),
    [
        ("name: a\nduratoin: 3\n", 2, "duratoin", "unknown key", "duration"),
        ("nodes:\n  cout: 3\n", 2, "nodes.cout", "unknown key", "count"),
        ("nodes:\n  named:\n    - name: a\n      rol: peer\n", 4, "nodes.named.0.rol", "unknown key", "role"),
        ("duration: 20 parsec\n", 1, "duration", "not a duration: '20 parsec'", None),
        ("underlay:\n  capacity: 20 ms\n", 2, "underlay.capacity", "not a rate: '20 ms'", None),
        ("underlay:\n  loss: 120%\n", 2, "underlay.loss", "out of range: '120%'", None),
        ("duration: -1 s\n", 1, "duration", "out of range: '-1 s'", None),
        ("nodes:\n  count: true\n", 2, "nodes.count", "whole number", None),
        ("calls:\n  rate: .nan\n", 2, "calls.rate", "finite", None),
        ("calls:\n  rate: fast\n", 2, "calls.rate", "not a number: 'fast'", None),
        ("nodes: 3\n", 1, "nodes", "not a mapping: 3", None),
        ("warmup: 1 h\n", 1, "warmup", "must end before", None),
        ("nodes:\n  nat: {open: 0.5}\n", 2, "nodes.nat", "sum to 0.5, not 1", None),
        ("nodes:\n  roles: {relay: 1.5}\n", 2, "nodes.roles.relay", "neither a whole number", None),
        ("nodes:\n  roles: {relay: 1" + "0" * 400 + "}\n", 2, "nodes.roles.relay", "the number is too large", None),
        ("nodes:\n  roles: {relay: -5%}\n", 2, "nodes.roles.relay", "out of range: '-5%'", None),
        ("nodes:\n  roles: {relay: 99}\n", 2, "nodes.roles", "count says 60", None),
        ("control:\n  mode: agent\n", 2, "control.mode", "not one of the allowed", "agents"),
        ("routing:\n  policy: learnt\n", 2, "routing.policy", "unknown routing policy 'learnt'", "learned"),
        ("trust:\n  model: betta\n", 2, "trust.model", "unknown reputation", "beta"),
        ("misbehaviour:\n  - kind: gray_hol\n", 2, "misbehaviour.0.kind", "unknown misbehaviour", "gray_hole"),
        ("nodes:\n  named:\n    - {name: a, role: super}\n", 3, "nodes.named.0.role", "allowed values", "super_node"),
        ("nodes:\n  named:\n    - {name: a}\n    - {name: a}\n", 4, "nodes.named.1.name", "is taken", None),
        ("nodes:\n  named:\n    - name: a\n      aura: bob\n", 4, "nodes.named.0.aura", "not an AuraID: 'bob'", None),
        ("nodes:\n  named:\n    - {name: a, domain: ..}\n", 3, "nodes.named.0.domain", "not a domain", None),
        ("nodes:\n  named:\n    - {name: a, at: Londn}\n", 3, "nodes.named.0.at", "no place 'Londn'", "London"),
        ("nodes:\n  named:\n    - {name: a, at: 99}\n", 3, "nodes.named.0.at", "no place 99", None),
        ("faults:\n  - {at: 1, node: rely-000}\n", 2, "faults.0.node", "no node 'rely-000'", "relay-000"),
        (
            "underlay:\n  topology: topozoo/huricanelectric\n",
            2,
            "underlay.topology",
            "unknown",
            "topozoo/HurricaneElectric",
        ),
        ("underlay:\n  topology: geant\n", 2, "underlay.topology", "unknown", "sndlib/geant"),
        ("underlay:\n  topology: waxman\n", 2, "underlay.topology", "is a generator", "{generator: waxman}"),
        ("underlay:\n  topology: {generator: ringg}\n", 2, "underlay.topology.generator", "unknown generator", "ring"),
        ("underlay:\n  topology: {places: 3}\n", 2, "underlay.topology", "'generator' is missing", None),
        ("underlay:\n  topology: {generator: ring, place: 3}\n", 2, "underlay.topology.place", "unknown key", "places"),
        (
            "underlay:\n  topology:\n    generator: ring\n    places: 1\n",
            4,
            "underlay.topology.places",
            "range: 1",
            None,
        ),
    ],
)
def test_a_mistake_is_told_with_line_key_and_nearest(write, text, line, key, fragment, near):
    path = write(text)
    error = refused(path)
    assert (error.file, error.line, error.key) == (str(path), line, key)
    assert fragment in error.message
    assert error.nearest == near


def test_an_unknown_key_lists_the_keys_of_its_own_place_only(write):
    assert refused(write("underlay:\n  drift: {perod: 3}\n")).allowed == (
        "period",
        "reversion",
        "volatility",
        "congestion",
        "hours",
    )
    ring = refused(write("underlay:\n  topology: {generator: ring, rows: 3}\n")).allowed
    assert ring == ("generator", "seed", "places", "spacing")


def test_a_wrong_unit_lists_the_right_ones(write):
    assert "<number>ms" in refused(write("duration: 3 Mbps\n")).allowed


def test_a_listed_call_needs_people_who_exist(write):
    text = "calls:\n  listed:\n    - at: 1\n      caller: '@peer-0000.aura'\n      callee: '@peer-001.aura'\n"
    error = refused(write(text))
    assert (error.line, error.key) == (4, "calls.listed.0.caller")
    assert "@peer-000.aura" in error.allowed


def test_several_mistakes_tell_the_first_in_the_file_and_how_many_more(write):
    error = refused(write("name: a\ncalls: {rate: -1}\nduration: 0\nwarmup: x\n"))
    assert error.line == 2
    assert error.message.endswith("(and 2 more)")


@pytest.mark.parametrize(
    ("text", "line", "fragment"),
    [
        ("name: a\nx: [1, 2\n", 3, "column 1"),
        ("a: b: c\n", 1, "column 5"),
        ("\t- a\n", 1, "column 1"),
        ("a: 1\na: 2\n", 2, "comes twice"),
        ("- 1\n", 1, "a scenario is a mapping"),
        ("name: a\n1: 2\n", 2, "keys are words"),
        ("name: !x a\n", 1, "unknown tag '!x'"),
        ("x: " + "[" * 40 + "]" * 40, 1, "nested too deep"),
        ("name: !!bool x\n", 1, "not YAML"),
        ("name: a\nx: \x01\n", 2, "not YAML: the character U+0001"),
    ],
)
def test_what_is_no_yaml_is_told_with_its_place(write, text, line, fragment):
    error = refused(write(text))
    assert error.line == line
    assert fragment in error.message


def test_a_file_that_is_not_text_is_refused_with_its_line(tmp_path):
    path = tmp_path / "case.yaml"
    path.write_bytes(b"name: a\n\xff\xfe")
    assert refused(path).line == 2


def test_an_unknown_preset_names_the_nearest_one():
    error = refused(Path("smok"))
    assert error.nearest == "smoke"
    assert set(scenario.presets()) <= set(error.allowed)


def test_a_name_too_long_for_a_file_is_refused():
    assert "cannot be read" in refused(Path("x" * 5000)).message


def test_overrides_apply_in_order_and_reach_into_lists_by_position_and_by_name(write):
    overrides = [
        "duration=1 min",
        "duration=2 min",
        "warmup=0",
        "nodes.named.1.nat=cone",
        "nodes.named.alice.role=relay",
    ]
    loaded = scenario.load(write(SMALL), overrides)
    assert loaded.duration == 120.0
    assert loaded.nodes.named[1].nat == "cone"
    assert loaded.nodes.named[0].role == "relay"


def test_an_override_may_set_what_the_file_leaves_out(write):
    assert (
        scenario.load(write(""), ["underlay.drift.congestion.duration=30 s"]).underlay.drift.congestion.duration == 30.0
    )


@pytest.mark.parametrize(
    ("override", "key", "near"),
    [
        ("nodes.cout=3", "nodes.cout", "count"),
        ("duration=20 parsec", "duration", None),
        ("nodes.named.alicia.nat=open", "nodes.named.alicia", "alice"),
        ("nodes.named.alice.nat=opn", "nodes.named.0.nat", "open"),
        ("nodes.count.x=3", "nodes.count.x", None),
        ("duration", None, None),
        ("=3", None, None),
        ("nodes..count=3", None, None),
        ("duration=[", None, None),
    ],
)
def test_a_wrong_override_is_told_as_such(write, override, key, near):
    error = refused(write(SMALL), override)
    assert error.file == f"override {override!r}"
    assert error.key == key
    assert error.nearest == near


AWKWARD = [
    *("", "~", "true", "-1", "1e400", ".nan", "{}", "[]", "[{}]", "!!set {a}", "!!int x", "!!timestamp x", "!x y"),
    *("&a [*a]", "*a", "? {a: b}\n: c", "2001-01-01", "{generator: ring}", "30%", "5 Mbps", "1" * 5000, "<<: {a: 1}"),
    *("- &a 1\n- &a 2", "!!bool x", "--- 1\n--- 2", "\x00", "{1: 2}", "%YAML 1.1\n---\n1e3", "@a.aura", "{a: {b: {}}}"),
]
KEYS = [
    *("name", "duration", "underlay", "underlay.topology", "underlay.topology.generator", "nodes.named", "nodes.count"),
    *("nodes.named.0", "nodes.named.alice.at", "nodes.named.alice.access", "nodes.roles.relay", "nodes.nat", "faults"),
    *("calls.listed", "calls.media.audio", "trust.parameters", "trust.parameters.x", "record.views", "misbehaviour"),
]


@given(
    st.lists(
        st.one_of(
            st.text(max_size=20),
            st.tuples(st.sampled_from(KEYS) | st.text(max_size=8), st.sampled_from(AWKWARD) | st.text(max_size=12)).map(
                "=".join
            ),
        ),
        max_size=3,
    )
)
def test_any_overrides_give_a_scenario_or_a_config_error(overrides):
    try:
        loaded = scenario.load(SMALL_FILE, overrides)
    except ConfigError as error:
        told = str(error)
    else:
        told = scenario.canonical(loaded)
    assert told


@given(st.text() | st.sampled_from(AWKWARD))
def test_any_text_is_parsed_or_refused(text):
    try:
        value = parse(text, file="any").value
    except ConfigError as error:
        value = error.file
    assert value is None or type(value) in {bool, int, float, str, list, dict}


SMALL_FILE = Path(__file__).with_name("small.yaml")
