from __future__ import annotations

import pytest

from meshsim.lab.bench.trust_scale import _chunks, ingest_row, run_scale, verify_row


def test_receipts_of_the_benchmark_are_three_of_each_route_and_none_twice() -> None:
    chunks = list(_chunks(31_000))
    assert [(start, len(receipts)) for start, receipts in chunks] == [(0, 30_000), (30_000, 1_000)]
    told = [(one.call, one.signer) for _, receipts in chunks for one in receipts]
    assert len(set(told)) == len(told)
    assert all(one.signer in one.path for one in chunks[1][1])


def test_everything_that_is_taken_in_is_judged() -> None:
    row = ingest_row("beta", 6_000)
    assert row["receipts"] == 6_000
    # the last ten seconds still wait
    assert 900 <= row["verdicts"] <= 2_000
    assert row["scored"] > 900
    assert row["receipts_per_second"] > 0.0


def test_checking_is_held_against_a_library_that_is_named() -> None:
    row = verify_row(20)
    assert row["reference"] in {"PyNaCl", "cryptography"}
    assert row["ratio"] > 0.0


@pytest.mark.full
def test_the_benchmark_answers_both_goals() -> None:
    answer = run_scale(quick=True)
    assert [goal["goal"] for goal in answer["goals"]] == ["trust_ingest_seconds", "trust_verify_ratio"]
