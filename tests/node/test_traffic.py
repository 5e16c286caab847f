from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.mesh.errors import LocalProtocolError
from meshsim.node.traffic import Mismatch, Traffic, TrafficBook, compare_counts

if TYPE_CHECKING:
    from pathlib import Path

counts = st.dictionaries(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), st.integers(1, 9))


def test_datagrams_are_counted_by_direction() -> None:
    traffic = Traffic()
    traffic.count_sent(100)
    traffic.count_sent(50)
    traffic.count_received(7)
    assert (traffic.sent, traffic.sent_bytes, traffic.received, traffic.received_bytes) == (2, 150, 1, 7)


def test_connections_to_the_same_peer_share_counters() -> None:
    book = TrafficBook()
    book.of("bob").count_sent(1)
    book.of("bob").count_sent(1)
    book.of("carol").count_received(1)
    assert {peer: (traffic.sent, traffic.received) for peer, traffic in book} == {"bob": (2, 0), "carol": (0, 1)}


def test_counts_can_be_read_from_the_file_while_the_node_runs(tmp_path: Path) -> None:
    path = tmp_path / "counts"
    book = TrafficBook(path)
    for number, peer in enumerate(("bob", "carol", "@weird name/ü")):
        for _ in range(number + 1):
            book.of(peer).count_sent(10)
    found = TrafficBook.read(path)
    assert {peer: (traffic.sent, traffic.sent_bytes) for peer, traffic in found.items()} == {
        "bob": (1, 10),
        "carol": (2, 20),
        "@weird name/ü": (3, 30),
    }


def test_a_book_says_when_it_is_full() -> None:
    book = TrafficBook()
    for number in range(256):
        book.of(str(number))
    with pytest.raises(LocalProtocolError, match="no room"):
        book.of("one more")
    with pytest.raises(LocalProtocolError, match="no room"):
        TrafficBook().of("x" * 97)


@given(counts)
def test_equal_counts_match(sent: dict[tuple[str, str], int]) -> None:
    assert compare_counts(sent, dict(sent)) == []


@given(counts, counts)
def test_every_difference_is_found(sent: dict[tuple[str, str], int], received: dict[tuple[str, str], int]) -> None:
    different = {link for link in {*sent, *received} if sent.get(link, 0) != received.get(link, 0)}
    assert {mismatch.link for mismatch in compare_counts(sent, received)} == different


def test_only_a_killed_node_may_have_sent_one_datagram_more_than_it_counted() -> None:
    link = ("relay", "bob")
    killed = frozenset({"relay"})
    assert compare_counts({link: 5}, {link: 6}, killed=killed) == []
    assert compare_counts({link: 5}, {link: 7}, killed=killed) == [Mismatch(link, 5, 7)]
    assert compare_counts({link: 6}, {link: 5}, killed=killed) == [Mismatch(link, 6, 5)]
