"""What protocols share: names, tables that rank nothing, draws in blocks, timers, bundles."""

from __future__ import annotations

import pytest

from meshsim.mesh.errors import ConfigError, LocalProtocolError
from meshsim.mesh.seeds import SeedTree
from meshsim.routing.protocols import PROTOCOLS, Broadcast, Tables, Unicast, make
from meshsim.routing.protocols.base import Dice, Outbox, Timers
from meshsim.routing.protocols.packet import Message

HELLO = Message(1, 2, 3, 6.0, 1, 0, b"")


@pytest.mark.parametrize("name", list(PROTOCOLS))
def test_a_node_is_made_by_the_name_of_its_protocol(name: str) -> None:
    assert make(name, 3, stream=SeedTree(1).stream("protocol", 3)).name == name


def test_an_unknown_protocol_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean: olsr"):
        make("olrs", 3, stream=SeedTree(1).stream("protocol", 3))


def test_tables_rank_nothing() -> None:
    with pytest.raises(LocalProtocolError, match="olsr"):
        Tables("olsr").score([])  # type: ignore[arg-type]


def test_dice_draw_what_the_stream_says() -> None:
    stream = SeedTree(1).stream("p")
    dice = Dice(stream)
    assert [dice.draw() for _ in range(150)] == stream.uniform(0, 150).tolist()


def test_timers_are_due_once_in_order_of_time() -> None:
    timers = Timers()
    timers.set("late", 2.0)
    timers.set("soon", 1.0)
    timers.sooner("late", 3.0)
    timers.set("never", 9.0)
    assert timers.first() == 1.0
    assert timers.due(2.0) == ["soon", "late"]
    assert not timers.due(2.0)


def test_messages_to_all_and_to_one_go_in_packets_of_their_own() -> None:
    outbox = Outbox()
    outbox.say(HELLO)
    outbox.say(HELLO)
    outbox.tell(7, HELLO)
    first, second = outbox.drain()
    assert isinstance(first, Broadcast)
    assert isinstance(second, Unicast)
    assert second.to == 7
    assert outbox.drain() == []
