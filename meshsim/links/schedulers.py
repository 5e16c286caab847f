"""Which class queue a link serves next: strict priority, weighted fair queueing, deficit round robin, and two kin.

The queues themselves belong to the engine; the functions see flat arrays of all links, in which this link's queues
stand at [first, first + queues). A queue is an index into these arrays; -1 means that nothing waits. Fresh state is all
zeros. A packet that finds the link idle is put in its queue and picked, so that tags and deficits hear of it.

- `priority_pick(waiting, first, queues) -> queue`.
- WFQ is self-clocked fair queueing (SCFQ; S. J. Golestani, INFOCOM 1994): a packet's finish tag is its size over its
  queue's weight, added to the larger of its predecessor's tag and the tag of the packet in service; the least tag is
  served. `wfq_head(queue, size_bytes, weight, finish, clock, at)` whenever a packet becomes the head of its queue (it
  joined an empty queue, or the packet before it was taken out); `wfq_pick(waiting, finish, clock, at, first, queues) ->
  queue`. `clock` has one float per link, at `at`.
- DRR (M. Shreedhar and G. Varghese, SIGCOMM 1995), round by index of the queue: `drr_pick(waiting, head_bytes, quanta,
  deficit, turn, at, first, queues) -> queue`. `turn` has `DRR_TURN` integers per link, at `at`. Of the quanta, see
  `drr_quanta`.
- Stride scheduling (C. A. Waldspurger and W. E. Weihl, MIT/LCS/TM-528, 1995) serves the queue that has got the least
  for its weight since the beginning: `stride_head(queue, size_bytes, weight, finish)`, then `wfq_pick`. Without WFQ's
  clock a queue that was idle has saved up what it did not use.
- Polling is DRR whose turn stays: `polling_pick(...)`, arguments as for `drr_pick`. A queue that runs empty keeps its
  turn and its deficit until it is passed by empty, so that what comes while its last packet is sent is still served.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshsim.links.arrays import Floats, Integers

DRR_TURN = 2
"""Integers of DRR's state: whose turn it is (from 0), and whether this turn's quantum has been granted."""


def priority_pick(waiting: Integers, first: int, queues: int) -> int:
    """The first queue in which something waits.

    >>> priority_pick([0, 0, 3, 1], 1, 3)
    2
    """
    for queue in range(first, first + queues):
        if waiting[queue] > 0:
            return queue
    return -1


def wfq_head(queue: int, size_bytes: float, weight: float, finish: Floats, clock: Floats, at: int) -> None:
    """Give the packet that became the head of `queue` its finish tag.

    A later packet of the same queue needs none: its predecessor's tag is never behind the clock until it is served.

    Args:
        queue: Index into `finish`.
        size_bytes: The packet's size.
        weight: The queue's share, above 0.
        finish: Tag of each queue's head (of its last packet, while it is empty).
        clock: Tag of the packet in service, one float per link.
        at: Which of them is this link's.
    """
    finish[queue] = max(finish[queue], clock[at]) + size_bytes / weight


def stride_head(queue: int, size_bytes: float, weight: float, finish: Floats) -> None:
    """Give the packet that became the head of `queue` its tag: all that its queue will have sent, over its weight.

    Args:
        queue: Index into `finish`.
        size_bytes: The packet's size.
        weight: The queue's share, above 0.
        finish: Tag of each queue's head (of its last packet, while it is empty).

    >>> tags = [0.0, 4000.0]
    >>> stride_head(0, 1500.0, 0.5, tags)
    >>> tags
    [3000.0, 4000.0]
    """
    finish[queue] += size_bytes / weight


def wfq_pick(waiting: Integers, finish: Floats, clock: Floats, at: int, first: int, queues: int) -> int:
    """The queue whose head has the least finish tag (of equals the first), which becomes the clock.

    Args:
        waiting: Packets in each queue.
        finish: Tag of each queue's head.
        clock: Tag of the packet in service, one float per link.
        at: Which of them is this link's.
        first: The link's first queue.
        queues: How many it has.
    """
    best = -1
    for queue in range(first, first + queues):
        if waiting[queue] > 0 and (best < 0 or finish[queue] < finish[best]):
            best = queue
    if best >= 0:
        clock[at] = finish[best]
    return best


def drr_quanta(weights: tuple[float, ...], quantum: float) -> tuple[float, ...]:
    """Bytes that each queue may send per round: `quantum` for the least weight, in proportion for the others.

    >>> drr_quanta((1.0, 4.0), 1500.0)
    (1500.0, 6000.0)
    """
    return tuple(quantum * weight / min(weights) for weight in weights)


def drr_pick(
    waiting: Integers,
    head_bytes: Floats,
    quanta: Floats,
    deficit: Floats,
    turn: Integers,
    at: int,
    first: int,
    queues: int,
) -> int:
    """The queue whose turn it is to send, with its head's bytes taken from its deficit.

    A queue that is left empty loses what it saved; one whose head is larger than its deficit keeps it for the next
    round.

    Args:
        waiting: Packets in each queue, the one to be picked still included.
        head_bytes: Size of each queue's head.
        quanta: Bytes granted to each queue per round, above 0.
        deficit: Bytes that each may still send.
        turn: Rows of `DRR_TURN` integers.
        at: Where this link's row begins.
        first: The link's first queue.
        queues: How many it has.
    """
    if priority_pick(waiting, first, queues) < 0:
        return -1
    while True:
        queue = first + turn[at]
        if waiting[queue] > 0 and _granted(queue, head_bytes, quanta, deficit, turn, at):
            if waiting[queue] == 1:
                deficit[queue] = 0.0
                _drr_next(turn, at, queues)
            return int(queue)
        _drr_next(turn, at, queues)


def polling_pick(
    waiting: Integers,
    head_bytes: Floats,
    quanta: Floats,
    deficit: Floats,
    turn: Integers,
    at: int,
    first: int,
    queues: int,
) -> int:
    """The queue whose turn it is to send, with its head's bytes taken from its deficit; the turn stays with it.

    Args:
        waiting: Packets in each queue, the one to be picked still included.
        head_bytes: Size of each queue's head.
        quanta: Bytes granted to each queue per turn, above 0.
        deficit: Bytes that each may still send.
        turn: Rows of `DRR_TURN` integers.
        at: Where this link's row begins.
        first: The link's first queue.
        queues: How many it has.
    """
    if priority_pick(waiting, first, queues) < 0:
        return -1
    while True:
        queue = first + turn[at]
        if waiting[queue] == 0:
            deficit[queue] = 0.0
        elif _granted(queue, head_bytes, quanta, deficit, turn, at):
            return int(queue)
        _drr_next(turn, at, queues)


def _granted(queue: int, head_bytes: Floats, quanta: Floats, deficit: Floats, turn: Integers, at: int) -> bool:
    """Whether the head of `queue` may be sent in this turn, with its bytes taken from the deficit if so."""
    if turn[at + 1] == 0:
        turn[at + 1] = 1
        deficit[queue] += quanta[queue]
    if head_bytes[queue] > deficit[queue]:
        return False
    deficit[queue] -= head_bytes[queue]
    return True


def _drr_next(turn: Integers, at: int, queues: int) -> None:
    """Give the turn to the next queue."""
    turn[at] = (turn[at] + 1) % queues
    turn[at + 1] = 0
