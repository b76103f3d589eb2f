from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from forecast.model.blending import Blend
from forecast.series.arrays import Floats

NAMES = ("network", "linear", "theta")


def ids(*names: str) -> np.ndarray:
    return np.array(names, dtype=object)


def blend(*errors: list[float], names: tuple[str, ...] = NAMES, series: str = "a", independent: float = 20.0) -> Blend:
    return Blend.of(names[:len(errors)], np.array(errors)[:, :, None], ids(*series * len(errors[0])),
                    independent=independent)


def test_a_share_is_the_error_to_the_power_of_minus_twelve_and_a_trifle_is_none() -> None:
    near = blend([1.0], [1.1]).pooled
    assert near[1] / near[0] == pytest.approx(1.1 ** -12)
    assert blend([1.0], [2.0]).names == ("network",)


def test_few_windows_tell_less() -> None:
    assert blend([1.0], [1.5], independent=2.0).pooled[1] == pytest.approx(1 / (1 + 1.5 ** 4))
    assert blend([1.0], [1.5], independent=20.0).names == ("network",)


def test_odds_count_beside_the_errors_and_less_where_many_windows_tell() -> None:
    def share(independent: float) -> float:
        errors = np.array([[1.0], [1.2]])[:, :, None]
        return Blend.of(NAMES[:2], errors, ids("a"), independent=independent, odds=(1.0, 4.0)).pooled[1]

    assert share(2.0) == pytest.approx(4 / (4 + 1.2 ** 4))
    assert share(20.0) == pytest.approx(4 / (4 + 1.2 ** 12))


def test_equal_errors_give_equal_shares_whatever_the_series() -> None:
    of = Blend.of(NAMES, np.tile([1.0, 5.0], (3, 1))[:, :, None], ids("a", "b"), independent=2.0)
    np.testing.assert_allclose(of.weights(ids("a", "b", "new")), 1 / 3)


def test_a_series_served_better_by_one_leans_towards_it_and_a_new_one_does_not() -> None:
    errors = np.array([[1.0, 1.0, 2.0], [1.0, 1.0, 1.0]])
    of = Blend.of(NAMES[:2], errors[:, :, None], ids("a", "b", "c"), independent=2.0)
    a, c, new = of.weights(ids("a", "c", "new")).T
    assert c[1] > new[1] > a[1]
    np.testing.assert_allclose(new, of.pooled)


def test_windows_without_a_truth_say_nothing_and_without_any_the_first_serves() -> None:
    nan = float("nan")
    assert blend([1.0, nan], [1.0, nan]) == blend([1.0], [1.0])
    assert blend([nan], [nan]) == Blend.alone("network")


def test_no_error_at_all_is_no_trouble() -> None:
    of = blend([0.0, 0.0], [0.0, 0.0], [1.0, 1.0])
    assert of.names == ("network", "linear")
    np.testing.assert_allclose(of.pooled, 0.5)


@given(arrays.arrays(float, (3, 2, 4, 3), elements=st.floats(-1e6, 1e6)), st.floats(0.1, 10), st.floats(0.1, 10))
def test_the_blend_lies_between_its_parts(values: Floats, one: float, two: float) -> None:
    of = blend([1.0], [one], [two], independent=1.0)
    parts = dict(zip(NAMES, values, strict=True))
    mixed = of.of_parts(parts, ids("a", "b"))
    kept = np.stack([parts[n] for n in of.names])
    slack = 1e-9 * (1 + np.abs(kept).max())
    assert (mixed >= kept.min(axis=0) - slack).all()
    assert (mixed <= kept.max(axis=0) + slack).all()


def test_what_all_parts_agree_on_is_said_to_the_bit() -> None:
    same = np.full((1, 2, 3), 0.1)
    np.testing.assert_array_equal(blend([1.0], [1.1], [1.2]).of_parts(dict.fromkeys(NAMES, same), ids("a")), same)


def test_the_source_names_every_fifth_and_the_largest_first() -> None:
    of = Blend(NAMES, (0.3, 0.6, 0.1), (), {"b": (0.1, 0.1, 0.8)})
    assert of.sources(ids("a", "b"), {"network": "lstm"}) == ["linear+lstm", "theta"]
    assert of.sources(ids("a"), {"network": "linear"}) == ["linear"]


def test_one_absurd_truth_does_not_drown_the_other_windows() -> None:
    """Nobody foresees it, so all errors of that window are alike, and huge."""
    usual = blend([1.0, 1.0, 1.0, 1.0], [1.3, 1.3, 1.3, 1.3], independent=2.0)
    absurd = blend([1.0, 1.0, 1.0, 1e9], [1.3, 1.3, 1.3, 1e9], independent=2.0)
    assert usual.pooled[0] > absurd.pooled[0] > 0.52
