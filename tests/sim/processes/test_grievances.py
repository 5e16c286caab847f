"""Callers who report what relays did to their calls."""

from __future__ import annotations

import pytest

from meshsim.sim.processes.grievances import Grievances
from meshsim.trust import Blame
from meshsim.trust.abuse import Category

PATH = (1, 7, 8, 2)


def heard(grievances: Grievances, calls: int = 200) -> list[int]:
    for call in range(calls):
        grievances.suffer(call, PATH, 5.0)
    return [one.report.call for one in grievances.due()]


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.3, 40, 80), (1.0, 200, 200)])
def test_so_many_callers_report_as_the_scenario_says(share: float, least: int, most: int):
    assert least <= len(heard(Grievances(share, (), seed=1))) <= most


def test_whether_a_caller_reports_does_not_depend_on_other_calls():
    alone = Grievances(0.3, (), seed=1)
    chosen = heard(Grievances(0.3, (), seed=1))
    for call in reversed(range(200)):
        alone.suffer(call, PATH, 5.0)
    assert sorted(one.report.call for one in alone.due()) == chosen


def test_a_report_names_caller_call_and_time_and_one_of_the_relays():
    grievances = Grievances(1.0, (), seed=1)
    grievances.suffer(3, PATH, 5.0)
    (report, guilt), *more = grievances.due()
    assert (report.reporter, report.call, report.t, report.category) == (1, 3, 5.0, Category.TAMPERING)
    assert report.subject in PATH[1:-1]
    assert guilt == 0.5
    assert not more
    assert grievances.due() == []


def test_who_lies_reports_nothing_in_earnest():
    assert heard(Grievances(1.0, (1,), seed=1)) == []


def test_without_an_inference_of_blame_any_relay_of_the_path_may_be_accused():
    grievances = Grievances(1.0, (), seed=1)
    for call in range(20):
        grievances.suffer(call, PATH, 5.0)
    assert {one.report.subject for one in grievances.due()} == {7, 8}


def test_with_it_the_relay_that_is_likely_to_blame_is_accused():
    blame = Blame(half_life=3600.0)
    for _ in range(20):
        blame.learn((8,), True, 0.0)
        blame.learn((7,), False, 0.0)
    grievances = Grievances(1.0, (), seed=1, guilt=blame)
    for call in range(20):
        grievances.suffer(call, PATH, 5.0)
    accused = grievances.due()
    assert {one.report.subject for one in accused} == {8}
    assert all(0.5 < one.guilt <= 1.0 for one in accused)


def test_a_path_without_relays_gives_nobody_to_accuse():
    grievances = Grievances(1.0, (), seed=1)
    grievances.suffer(1, (1, 2), 5.0)
    assert grievances.due() == []


@pytest.mark.parametrize("renewed", [1, 7])
def test_what_waits_of_an_old_name_is_dropped(renewed: int):
    grievances = Grievances(1.0, (), seed=1)
    grievances.suffer(1, (1, 7, 2), 5.0)
    grievances.suffer(2, (3, 8, 2), 5.0)
    grievances.renew(renewed)
    assert [one.report.call for one in grievances.due()] == [2]
