"""Domains: nobody calls or relays across a border that is closed, and a border is all that is known of an inside."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshsim.identity.federation import TrustLevel
from meshsim.learn.dataset import load
from meshsim.measure.metrics import METRICS
from meshsim.measure.records import TABLES
from meshsim.measure.trace import Trace
from meshsim.mesh.view import Role
from meshsim.scenario import Scenario
from meshsim.scenario import compile as compile_plan
from meshsim.scenario.federation import border_nodes
from meshsim.sim import begin
from meshsim.sim.checkpoint import checkpoint, resume

NAMES = ("a.org", "b.org", "c.org")
THREE = [{"name": name, "share": share, "borders": 2} for name, share in zip(NAMES, (0.4, 0.4, 0.2), strict=True)]
WORLD: dict[str, Any] = {
    "duration": 120.0,
    "warmup": 0.0,
    "nodes": {"count": 30, "roles": {"relay": 9, "super_node": 3}},
    "calls": {"rate": 1.0},
    "churn": {"applies_to": "all"},
}


def three(**options: Any) -> dict[str, Any]:
    return {"federation": {"domains": THREE, **options}}


def federated(**options: Any) -> dict[str, Any]:
    return {**WORLD, **three(**options)}


def blocked_both_ways(a: str, b: str) -> list[dict[str, Any]]:
    return [{"asking": x, "holding": y, "level": "blocked"} for x, y in ((a, b), (b, a))]


def columns(result):
    trace = Trace(result.trace)
    return trace, trace.columns("calls")


def crossings(domains, path):
    """Pairs of domains that meet on a path: on its hops, and of each relay with both ends."""
    on = [domains[node] for node in path]
    return {frozenset(pair) for pair in [*pairwise(on), *((on[0], d) for d in on), *((d, on[-1]) for d in on)]}


def shut(config, at: float):
    """Pairs of domains of which one blocks the other at an instant, by the scenario alone."""
    level = {(x, y): config.trust for x in NAMES for y in NAMES if x != y}
    level |= {(pair.asking, pair.holding): pair.level for pair in config.pairs}
    for change in sorted(config.changes, key=lambda change: change.at):
        if change.at <= at:
            level[change.asking, change.holding] = change.level
            if change.mutual:
                level[change.holding, change.asking] = change.level
    return {frozenset(pair) for pair, how in level.items() if how == "blocked"}


pairs = st.dictionaries(
    st.sampled_from([(x, y) for x in NAMES for y in NAMES if x != y]), st.sampled_from(list(TrustLevel)), max_size=6
).map(lambda said: [{"asking": x, "holding": y, "level": level} for (x, y), level in said.items()])
changes = st.lists(
    st.builds(
        lambda at, ends, level, mutual: {
            "at": at, "asking": ends[0], "holding": ends[1], "level": level, "mutual": mutual,
        },
        st.floats(1.0, 115.0),
        st.sampled_from([(x, y) for x in NAMES for y in NAMES if x != y]),
        st.sampled_from(["blocked", "blocked", "verified"]),
        st.booleans(),
    ),
    max_size=3,
    unique_by=lambda change: change["at"],
)  # fmt: skip


def hold_to_its_borders(small, run, options):
    plan = small(3, **federated(**options))
    trace, calls = columns(run(plan))
    config, domains = plan.scenario.federation, plan.nodes.domains
    for row, path in enumerate(calls["path"]):
        start, end = calls["start_ns"][row] / 1e9, calls["end_ns"][row] / 1e9
        waited = np.nan_to_num(calls["resolve_seconds"][row])
        if len(path):
            assert not crossings(domains, path) & shut(config, start + waited)
        if options["crossing"] == "cut" and len(calls["final_path"][row]) and calls["outcome"][row] == "completed":
            assert not crossings(domains, calls["final_path"][row]) & shut(config, end)
        if calls["outcome"][row] in {"failed", "dropped"} and "route" in calls["reason"][row]:
            ends = frozenset((domains[calls["caller"][row]], domains[calls["callee"][row]]))
            assert ends not in shut(config, end)  # that no route was left was no failure of routing
    routes = trace.columns("routes")
    for row in np.flatnonzero(routes["chosen"]).tolist():
        assert not crossings(domains, routes["path"][row]) & shut(config, routes["time_ns"][row] / 1e9)


worlds = st.fixed_dictionaries({"pairs": pairs, "changes": changes, "crossing": st.sampled_from(["cut", "keep"])})
relaxed = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


@settings(max_examples=3, **relaxed)
@given(worlds)
def test_no_call_and_no_relay_crosses_a_border_that_is_closed_when_it_is_taken(small, run, options):
    hold_to_its_borders(small, run, options)


@pytest.mark.full
@settings(max_examples=100, **relaxed)
@given(worlds)
def test_nobody_crosses_a_closed_border_in_many_more_worlds(small, run, options):
    hold_to_its_borders(small, run, options)


def test_a_blocked_domain_is_refused_with_the_reason_and_that_is_no_failed_route(small, run):
    plan = small(**federated(pairs=blocked_both_ways("a.org", "b.org")))
    trace, calls = columns(run(plan))
    refused = {
        reason for reason, outcome in zip(calls["reason"], calls["outcome"], strict=True) if outcome == "refused"
    }
    assert refused == {"domain 'a.org' is blocked at home", "domain 'b.org' is blocked at home"}
    ends = _ends(calls, np.asarray(calls["outcome"]) == "refused")
    between = {frozenset((plan.nodes.domains[a], plan.nodes.domains[b])) for a, b in ends}
    assert between == {frozenset(("a.org", "b.org"))}
    share = METRICS["refused_call_rate"].value(trace)
    assert 0.1 < share < 0.6
    assert not np.asarray(calls["poor"])[np.asarray(calls["outcome"]) == "refused"].any()


def _ends(calls, rows):
    taken = np.flatnonzero(rows)
    return zip(calls["caller"][taken].tolist(), calls["callee"][taken].tolist(), strict=True)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"privacy": {"private": 1.0, "public": 0.0}}, "the name is private"),
        (
            {"privacy": {"federated": 1.0, "public": 0.0}, "trust": "unverified"},
            "the name is told to verified servers only",
        ),
        (
            {
                "pairs": [
                    {"asking": x, "holding": y, "level": "trusted", "allow": ["c.org"]}
                    for x, y in (NAMES[:2], NAMES[1::-1])
                ]
            },
            "'a.org' may not ask for names of 'b.org'",
        ),
    ],
)
def test_privacy_and_allow_lists_refuse_by_the_rules_of_identity(options, reason, small, run):
    _, calls = columns(run(small(**federated(**options))))
    rows = np.asarray(calls["outcome"]) == "refused"
    assert reason in set(np.asarray(calls["reason"])[rows])


def test_at_home_nobody_asks_and_abroad_the_answer_takes_its_time(small, run):
    plan = small(**federated(resolution={"median": 0.3, "sigma": 0.0}))
    trace, calls = columns(run(plan))
    online = np.asarray([reason != "caller offline" for reason in calls["reason"]])
    abroad = np.array([plan.nodes.domains[a] != plan.nodes.domains[b] for a, b in _ends(calls, online)])
    waited = np.asarray(calls["resolve_seconds"])[online]
    assert np.array_equal(np.isfinite(waited), abroad)
    assert np.allclose(waited[abroad], 0.3)
    assert METRICS["resolve_seconds"].value(trace) == pytest.approx(0.3)


def test_a_pair_may_have_a_delay_of_its_own(small, run):
    own = {"asking": "a.org", "holding": "b.org", "level": "verified", "resolution": {"median": 2.0, "sigma": 0.0}}
    plan = small(**federated(resolution={"median": 0.0}, pairs=[own]))
    _, calls = columns(run(plan))
    online = np.asarray([reason != "caller offline" for reason in calls["reason"]])
    for (a, b), waited in zip(_ends(calls, online), np.asarray(calls["resolve_seconds"])[online], strict=True):
        ends = plan.nodes.domains[a], plan.nodes.domains[b]
        expected = np.nan if ends[0] == ends[1] else 2.0 if ends == ("a.org", "b.org") else 0.0
        assert np.array_equal(waited, expected, equal_nan=True)


def test_one_domain_is_a_world_without_domains(small, run):
    world = {key: value for key, value in WORLD.items() if key != "nodes"}
    alone = run(small(**world))
    one = run(small(**world, federation={"domains": [{"name": "a.org", "share": 1.0}]}))
    for table in TABLES.keys() - {"nodes"}:
        parts = [sorted((result.trace / table).glob("part-*.parquet")) for result in (alone, one)]
        assert [part.read_bytes() for part in parts[0]] == [part.read_bytes() for part in parts[1]]
    assert set(Trace(one.trace).columns("nodes")["domain"]) == {"a.org"}


def test_only_border_relays_carry_calls_of_others(small, run):
    plan = small(**federated())
    trace, calls = columns(run(plan))
    border, domains = border_nodes(plan.scenario.federation, plan.nodes), plan.nodes.domains
    foreign = 0
    for path in calls["final_path"]:
        for relay in path[1:-1]:
            if domains[relay] != domains[path[0]]:
                assert border[relay]
                foreign += 1
    assert foreign > 0
    refusals = set(trace.columns("routes")["refusal"])
    assert "relay inside another domain" not in refusals  # the search never proposes them
    assert 0.0 < METRICS["border_call_rate"].value(trace) < 1.0


def test_what_a_domain_believes_of_another_is_its_borders_and_aggregates(small, run):
    plan = small(**federated(pairs=blocked_both_ways("a.org", "c.org")))
    trace = Trace(run(plan).trace)
    views, links, nodes = (trace.columns(name) for name in ("views", "view_links", "view_nodes"))
    of = np.array([NAMES.index(domain) for domain in plan.nodes.domains])
    border = border_nodes(plan.scenario.federation, plan.nodes)
    owners = dict(zip(views["view"].tolist(), (-2 - views["owner"]).tolist(), strict=True))
    assert set(owners.values()) == {0, 1, 2}
    x = np.array([owners[view] for view in links["view"].tolist()])
    a, b = of[links["src"]], of[links["dst"]]
    inside = (a == b) & (a != x) & ~(border[links["src"]] & border[links["dst"]])
    assert not links["observed"][inside].any()
    assert border[links["src"][inside]].all()
    for view in np.unique(links["view"]):  # a border says the same of the way to every node
        for src in np.unique(links["src"][inside & (links["view"] == view)]):
            own = inside & (links["view"] == view) & (links["src"] == src)
            assert len(set(links["delay_seconds"][own].tolist())) == 1
    blocked = {frozenset((0, 2))}
    assert not {frozenset(pair) for pair in zip(a.tolist(), b.tolist(), strict=True)} & blocked
    x = np.array([owners[view] for view in nodes["view"].tolist()])
    hidden = (of[nodes["node"]] != x) & ~border[nodes["node"]]
    assert nodes["online"][hidden].all()
    assert not nodes["evidence"][hidden].any()
    for view in owners:
        for y in range(3):
            rows = hidden & (nodes["view"] == view) & (of[nodes["node"]] == y)
            assert len(set(nodes["load"][rows].tolist())) <= 1


def test_views_of_domains_are_recorded_as_they_were_decided_on(small, run):
    result = run(small(**federated()))
    dataset = load([result.trace])
    assert len(dataset.views) > 3
    assert len(dataset) == len(np.unique(Trace(result.trace).columns("routes")["call"]))


@pytest.mark.parametrize("crossing", ["cut", "keep"])
def test_calls_under_way_over_a_border_that_closes_are_cut_or_kept(crossing, small, run):
    shut_at = 60.0
    options = federated(crossing=crossing, changes=[{"at": shut_at, "asking": "a.org", "holding": "b.org"}])
    plan = small(**options, record={"candidates": False})
    trace, calls = columns(run(plan))
    start, end = np.asarray(calls["start_ns"]) / 1e9, np.asarray(calls["end_ns"]) / 1e9
    reasons = np.asarray(calls["reason"])
    cut = reasons == "domains on the way no longer federate"
    over = np.array([frozenset(("a.org", "b.org")) in crossings(plan.nodes.domains, p) if len(p) else False
                     for p in calls["final_path"]])  # fmt: skip
    alive = over & (start < shut_at) & (end > shut_at)
    if crossing == "cut":
        assert np.count_nonzero(cut & over) > 3
        assert np.allclose(end[cut & over], shut_at)
        assert not alive.any()
    else:
        assert np.count_nonzero(alive) > 3
        assert not cut[over].any()
    kinds = dict(zip(trace.columns("events")["kind"], trace.columns("events")["detail"], strict=True))
    assert kinds["federation"] == "a.org holds b.org blocked"


def test_domains_that_federate_again_call_each_other_again(small, run):
    changes = [
        {"at": 0.0, "asking": "a.org", "holding": "b.org"},
        {"at": 60.0, "asking": "a.org", "holding": "b.org", "level": "trusted"},
    ]
    plan = small(**federated(changes=changes))
    _, calls = columns(run(plan))
    start, refused = np.asarray(calls["start_ns"]) / 1e9, np.asarray(calls["outcome"]) == "refused"
    assert refused[start < 59.0].any()
    assert not refused[start > 61.0].any()


def test_rings_and_borders_go_together(small, run):
    options = federated()
    options["calls"] = {"rate": 1.0, "ringing": {"enabled": True, "answer": 1.0, "decline": 0.0}}
    _, calls = columns(run(small(**options)))
    both = np.isfinite(calls["ring_seconds"]) & np.isfinite(calls["resolve_seconds"])
    assert (both & (np.asarray(calls["outcome"]) == "completed")).any()


def test_a_federated_episode_stopped_and_resumed_goes_on_to_the_identical_trace(small, tmp_path):
    changes = [{"at": 70.0, "asking": "a.org", "holding": "b.org"}]
    plan = small(2, **federated(changes=changes))
    whole = begin(plan, tmp_path / "whole").finish()
    episode = begin(plan, tmp_path / "stopped")
    episode.advance(51.7)
    checkpoint(episode)
    assert resume(tmp_path / "stopped").finish().trace_sha256 == whole.trace_sha256


def test_people_and_relays_belong_where_they_are_said_to(small):
    named = [
        {"name": "ann", "domain": "c.org"},
        {"name": "ann-phone", "aura": "@ann.aura:c.org"},
        {"name": "ben", "aura": "@ben.aura:b.org"},
    ]
    plan = small(**{**federated(), "nodes": {**WORLD["nodes"], "named": named, "count": 400}})
    assert plan.nodes.domains[:3] == ("c.org", "c.org", "b.org")
    people: dict[str, set[str]] = {}
    for aura, domain in zip(plan.nodes.auras, plan.nodes.domains, strict=True):
        people.setdefault(aura, set()).add(domain)
    assert all(len(domains) == 1 for domains in people.values())
    shares = [plan.nodes.domains.count(name) / 400 for name in NAMES]
    assert shares == pytest.approx((0.4, 0.4, 0.2), abs=0.1)
    border = border_nodes(plan.scenario.federation, plan.nodes)
    relaying = [
        sum(d == name and r > 0 for d, r in zip(plan.nodes.domains, plan.nodes.role, strict=True)) for name in NAMES
    ]
    assert border.sum() == sum(min(count, 2) for count in relaying)
    assert (plan.nodes.role[border] != Role.PEER).all()


def test_one_person_more_leaves_all_others_in_their_domains(small):
    few, many = (small(**{**federated(), "nodes": {**WORLD["nodes"], "count": count}}).nodes for count in (40, 41))
    known = dict(zip(many.names, many.domains, strict=True))
    assert all(known[name] == domain for name, domain in zip(few.names, few.domains, strict=True))


def test_levels_are_those_of_identity():
    level = Scenario.model_json_schema()["$defs"]["TrustPair"]["properties"]["level"]["enum"]
    assert level == list(TrustLevel)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"federation": {"domains": [{"name": "a.org", "share": 0.4}]}}, "sum to 0.4, not 1"),
        ({"federation": {"domains": [THREE[0], THREE[0], THREE[2]]}}, "is there already"),
        (three(pairs=blocked_both_ways("a.org", "b.com")), "no domain 'b.com'"),
        (three(pairs=blocked_both_ways("a.org", "a.org")), "with itself"),
        (three(pairs=2 * blocked_both_ways("a.org", "b.org")), "what b.org thinks of a.org is said already"),
        (three(changes=[{"at": 1e4, "asking": "a.org", "holding": "b.org"}]), "after the end"),
        (three() | {"control": {"mode": "agents"}}, "modelled control plane"),
        (three() | {"routing": {"batch": 1.0}}, "no batches"),
        (three() | {"routing": {"protocol": "olsr"}}, "protocols know no domains"),
        (three() | {"nodes": {"named": [{"name": "ann", "domain": "z.org"}]}}, "no domain 'z.org'"),
        (three(pairs=[{"asking": "a.org", "holding": "b.org", "level": "friend"}]), "blocked"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_name(change, said):
    with pytest.raises(ValueError, match=said):
        Scenario.model_validate(change)


def test_the_scenario_of_the_page_runs_and_has_all_its_numbers(run):
    page = (Path(__file__).parents[3] / "docs" / "federation.md").read_text(encoding="utf-8")
    scenario = Scenario.model_validate(yaml.safe_load(page.split("```yaml\n")[1].split("```")[0]))
    quick = scenario.model_copy(update={"record": scenario.record.model_copy(update={"candidates": False})})
    trace, calls = columns(run(compile_plan(quick, 1)))
    assert {"completed", "refused", "unanswered", "declined", "busy"} <= set(calls["outcome"])
    for name in ("refused_call_rate", "border_call_rate", "answer_rate"):
        assert 0.0 < METRICS[name].value(trace) < 1.0
    assert METRICS["resolve_seconds"].value(trace) > 0.08
    assert METRICS["ring_seconds"].value(trace) > 1.0
