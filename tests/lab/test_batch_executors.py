from __future__ import annotations

import importlib.util

import pytest

from meshsim.testing import ExecutorContract


class TestSerial(ExecutorContract):
    executor = "serial"
    outlives = False


@pytest.mark.full
class TestLocal(ExecutorContract):
    executor = "local"


@pytest.mark.full
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: meshsim[ray]")
class TestRay(ExecutorContract):
    executor = "ray"
