from __future__ import annotations

import asyncio

import pytest

from meshsim.lab.loops import finish


async def _fail() -> None:
    raise ValueError("no")


async def test_work_is_finished_from_within_a_running_loop_and_from_outside() -> None:
    assert finish(asyncio.sleep(0, "within")) == "within"
    assert await asyncio.get_running_loop().run_in_executor(None, finish, asyncio.sleep(0, "outside")) == "outside"


async def test_what_goes_wrong_there_goes_wrong_here() -> None:
    with pytest.raises(ValueError, match="no"):
        finish(_fail())
