from __future__ import annotations

import pytest

from meshsim.mesh import errors
from meshsim.mesh.errors import ConfigError, MeshSimError, MissingExtra, NoRoute, nearest


def test_a_config_error_says_where_what_is_allowed_and_what_is_nearest() -> None:
    error = ConfigError(
        "unknown key 'rat'", file="s.yaml", line=3, key="calls.rat", allowed=["rate", "mix"], nearest="rate"
    )
    assert str(error).splitlines() == [
        "s.yaml:3: calls.rat: unknown key 'rat'",
        "  allowed: rate, mix",
        "  did you mean: rate",
    ]


def test_a_config_error_says_only_what_is_known() -> None:
    assert str(ConfigError("wrong")) == "wrong"


def test_a_missing_extra_says_what_to_install() -> None:
    assert "pip install 'meshsim[learn]'" in str(MissingExtra("torch", "learn"))


@pytest.mark.parametrize(
    ("reasons", "text"), [([], "no route: no candidate path"), (["aic: 3", "hops: 1"], "no route: aic: 3; hops: 1")]
)
def test_no_route_tells_its_reasons(reasons: list[str], text: str) -> None:
    error = NoRoute(reasons)
    assert (error.reasons, str(error)) == (tuple(reasons), text)


def test_every_error_can_be_caught_as_one() -> None:
    found = [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, Exception)]
    assert len(found) > 8
    assert all(issubclass(item, MeshSimError) for item in found)


def test_the_nearest_name_is_offered_only_when_close() -> None:
    assert nearest("betta", ["beta", "additive"]) == "beta"
    assert nearest("zzz", ["beta", "additive"]) is None
