from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.identity import AuditChain, AuditLink
from meshsim.mesh.errors import IdentityError

entries = st.lists(st.dictionaries(st.text(max_size=8), st.integers(0, 100) | st.booleans()), min_size=1, max_size=8)


def chain_of(items: list[dict[str, int]]) -> AuditChain:
    chain = AuditChain()
    for item in items:
        chain.append(item)
    return chain


@given(entries)
def test_an_untouched_chain_holds_and_gives_its_entries_back(items: list[dict[str, int]]) -> None:
    chain = chain_of(items)
    chain.verify(chain.head)
    AuditChain(chain).verify(chain.head)
    assert [link.entry() for link in chain] == items


@given(entries, st.data())
def test_a_changed_entry_is_found(items: list[dict[str, int]], data: st.DataObject) -> None:
    links = list(chain_of(items))
    place = data.draw(st.integers(0, len(links) - 1))
    bit = data.draw(st.integers(0, len(links[place].payload) * 8 - 1))
    payload = bytearray(links[place].payload)
    payload[bit // 8] ^= 1 << bit % 8
    links[place] = AuditLink(bytes(payload), links[place].hash)
    with pytest.raises(IdentityError, match=f"entry {place} "):
        AuditChain(links).verify()


@given(entries, st.data())
def test_a_missing_entry_is_found(items: list[dict[str, int]], data: st.DataObject) -> None:
    chain = chain_of(items)
    links = list(chain)
    del links[data.draw(st.integers(0, len(links) - 1))]
    with pytest.raises(IdentityError):
        AuditChain(links).verify(chain.head)


def test_entries_in_another_order_are_found() -> None:
    first, second = chain_of([{"a": 1}, {"b": 2}])
    with pytest.raises(IdentityError, match="entry 0"):
        AuditChain([second, first]).verify()


def test_a_wholly_rewritten_chain_is_found_by_who_kept_the_newest_hash() -> None:
    true, false = chain_of([{"allowed": 0}]), chain_of([{"allowed": 1}])
    false.verify()
    with pytest.raises(IdentityError, match="hash that was kept"):
        false.verify(true.head)


def test_the_order_of_keys_does_not_matter() -> None:
    assert AuditChain().append({"a": 1, "b": 2}) == AuditChain().append({"b": 2, "a": 1})


def test_what_is_not_plain_data_is_refused_and_leaves_the_chain_as_it_was() -> None:
    chain = AuditChain()
    with pytest.raises(IdentityError, match="plain data"):
        chain.append({"object": object()})
    assert (len(chain), chain.head) == (0, bytes(32))
