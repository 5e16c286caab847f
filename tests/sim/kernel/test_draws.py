from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from meshsim.mesh.seeds import SeedTree
from meshsim.sim.kernel.draws import draw, streams


@given(
    seed=st.integers(-(2**70), 2**70),
    entity=st.integers(0, 10**6),
    order=st.lists(st.integers(0, 300), min_size=1, max_size=12),
    far=st.integers(2**31, 2**40),
)
def test_a_compiled_draw_is_the_streams_own_number_in_any_order(seed, entity, order, far) -> None:
    sources = [SeedTree(seed).stream("flow.gap", entity), SeedTree(seed).stream("flow.size", entity)]
    compiled = streams(sources)
    for n in [*order, far]:
        assert [draw(compiled, index, n) for index in (0, 1)] == [source.at(n) for source in sources]


def test_a_thousand_draws_in_a_row_are_the_streams() -> None:
    source = SeedTree(7).stream("link.loss", 3)
    compiled = streams([source])
    assert np.array_equal([draw(compiled, 0, n) for n in range(1000)], source.uniform(0, 1000))
