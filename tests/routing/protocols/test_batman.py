"""B.A.T.M.A.N. IV: qualities of links and of paths, and windows of sequence numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.mesh.errors import RemoteProtocolError
from meshsim.mesh.seeds import SeedTree
from meshsim.routing.protocols import Batman, BatmanConfig
from meshsim.routing.protocols.batman import WINDOW, Link, Originator, Window, penalty_of_asymmetry, read_news
from meshsim.testing import ProtocolContract, Wiring

if TYPE_CHECKING:
    from meshsim.mesh.seeds import Stream
    from meshsim.routing.protocols import RoutingProtocol


SELDOM = BatmanConfig(interval=2.0)
"""Half the floods, half the time that the contract takes."""


def make(address: int, stream: Stream, forwards: bool, now: float) -> RoutingProtocol:  # noqa: FBT001
    return Batman(address, stream=stream, forwards=forwards, now=now, config=SELDOM)


class TestBatman(ProtocolContract):
    def make_node(self, address: int, stream: Stream, forwards: bool, now: float) -> RoutingProtocol:  # noqa: FBT001
        return make(address, stream, forwards, now)


LINE = [(0, 1), (1, 2), (2, 3)]


def test_a_perfect_mesh_loses_only_the_hop_penalty() -> None:
    wiring = Wiring(make, LINE)
    wiring.run(150.0)
    assert wiring.nodes[0].metric(1, wiring.now) == pytest.approx(1.0, abs=0.02)
    assert wiring.nodes[0].metric(3, wiring.now) == pytest.approx((255 / 225) ** 2, abs=0.05)


def test_a_path_of_two_good_links_beats_one_bad_link() -> None:
    """TQ of a third of OGMs each way is far below two hop penalties."""
    assert penalty_of_asymmetry(WINDOW // 3) < 255 * (225 / 255) ** 2
    one = Originator(0.0, 0, 0.0)
    one.rank(1, 100, first=True)
    one.rank(2, 200, first=False)
    assert one.best == 2


def test_a_neighbour_that_is_outrun_five_times_counts_no_more() -> None:
    one = Originator(0.0, 0, 0.0)
    one.rank(1, 200, first=True)
    for _ in range(4):
        one.rank(2, 50, first=True)
    assert one.best == 1
    one.rank(2, 50, first=True)
    assert one.best == 2


@given(numbers=st.lists(st.integers(0, 200), min_size=1, max_size=60))
def test_a_window_counts_the_distinct_numbers_of_the_last_64(numbers: list[int]) -> None:
    window = Window(numbers[0])
    for number in numbers[1:]:
        window.mark(number)
    newest = max(numbers)
    expected = {number for number in numbers if newest - number < WINDOW}
    assert window.last == newest
    assert window.count() <= len(expected)
    assert window.count() >= 1


def test_an_echo_that_is_missing_lowers_the_quality() -> None:
    link = Link(0.0, Window(63, (1 << 64) - 1), Window(100, (1 << 64) - 1))
    assert link.quality(101) == 255
    assert link.quality(117) == 255 * 48 // 64
    assert link.quality(400) == 0


def test_a_number_out_of_all_windows_is_believed_once_in_thirty_seconds() -> None:
    node = Batman(0, stream=SeedTree(1).stream("p", 0))
    assert node._originator(5, 1000, 1.0) is not None
    assert node._originator(5, 1_000_000, 2.0) is not None
    assert node._originator(5, 1, 20.0) is None
    assert node._originator(5, 1, 33.0) is not None


def test_the_next_best_neighbour_takes_over_when_the_best_is_gone() -> None:
    wiring = Wiring(make, [(0, 1), (1, 2), (2, 3), (0, 3)])
    wiring.run(60.0)
    assert wiring.walk(0, 3) == (0, 3)
    wiring.cut(0, 3)
    wiring.run(90.0)
    assert wiring.walk(0, 3) == (0, 1, 2, 3)


@given(body=st.binary(max_size=20))
def test_any_body_is_read_or_a_remote_error(body: bytes) -> None:
    if len(body) == 10:
        assert 0 <= read_news(body).tq <= 255
    else:
        with pytest.raises(RemoteProtocolError, match="OGM"):
            read_news(body)
