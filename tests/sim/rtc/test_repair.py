"""NACK and FEC: what can be repaired is, what comes too late is not asked for."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from meshsim.rtc.nacks import MOST_TRIES, Nacks
from meshsim.sim.rtc.packet import Kind, Packet
from meshsim.sim.rtc.repair import Groups, Repairer


def stream(count: int) -> list[Packet]:
    return [Packet(Kind.AUDIO, 1, n, 960 * n, 60, n) for n in range(count)]


@given(k=st.integers(1, 20), groups=st.integers(1, 5), data=st.data())
def test_any_single_loss_in_a_group_is_repaired_in_whatever_order_packets_come(k, groups, data) -> None:
    sender, sent, repairs = Groups(k), stream(k * groups), []
    for packet in sent:
        group = sender.add(packet)
        if group:
            repairs.append(group)
    assert [len(group) for group in repairs] == [k] * groups
    lost = {n * k + data.draw(st.integers(0, k - 1)) for n in range(groups)}
    arriving = [packet for packet in sent if packet.seq not in lost] + repairs
    restored = set()
    receiver = Repairer[Packet]()
    for item in data.draw(st.permutations(arriving)):
        found = receiver.took(item.seq) if isinstance(item, Packet) else receiver.group({p.seq: p for p in item})
        if found is not None:
            restored.add(found.seq)
    assert restored == lost


@given(k=st.integers(2, 12), data=st.data())
def test_two_losses_in_a_group_are_not_repaired_until_one_of_them_comes_after_all(k, data) -> None:
    sent, receiver = stream(k), Repairer[Packet]()
    first, second = data.draw(st.permutations(range(k)))[:2]
    for packet in sent:
        if packet.seq not in (first, second):
            assert receiver.took(packet.seq) is None
    assert receiver.group({packet.seq: packet for packet in sent}) is None
    found = receiver.took(first)
    assert found is not None
    assert found.seq == second


def test_without_protection_no_group_is_ever_whole() -> None:
    sender = Groups(0)
    assert all(sender.add(packet) == () for packet in stream(50))


@given(
    arrivals=st.lists(st.tuples(st.integers(0, 4), st.floats(0.0, 0.1)), min_size=2, max_size=40),
    rtt=st.floats(0.0, 0.5),
    patience=st.floats(0.0, 0.6),
)
def test_nothing_is_asked_for_that_could_not_be_back_before_its_deadline(arrivals, rtt, patience) -> None:
    nacks, seq, now, deadlines, asked = Nacks(), 0, 0.0, {}, {}
    nacks.take(seq, now, now + patience)
    for gap, wait in arrivals:
        now += wait
        deadlines.update(dict.fromkeys(range(seq + 1, seq + 1 + gap), now + patience))
        seq += 1 + gap
        nacks.take(seq, now, now + patience)
        for missing in nacks.due(now, rtt):
            assert missing in deadlines
            assert now + rtt <= deadlines[missing]
            asked.setdefault(missing, []).append(now)
    for times in asked.values():
        assert len(times) <= MOST_TRIES
        assert all(later - earlier >= rtt for earlier, later in pairwise(times))


def test_a_packet_that_came_is_not_asked_for_again() -> None:
    nacks = Nacks()
    nacks.take(1, 0.0, 9.0)
    nacks.take(4, 0.0, 9.0)
    assert nacks.due(0.0, 0.1) == (2, 3)
    assert nacks.take(2, 0.05, 9.0)
    assert nacks.due(0.5, 0.1) == (3,)
    assert len(nacks) == 1
