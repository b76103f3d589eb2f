"""Batch: what Units.batch gathers is what a loop over windows gathers; batches part and join without a change."""

from __future__ import annotations

import numpy as np

from forecast.series.batch import Batch
from forecast.series.calendar import Calendar
from forecast.series.panel import Panel
from forecast.series.units import Units
from forecast.series.windows import windows_of
from tests.conftest import waves


def test_a_batch_holds_what_a_loop_over_its_windows_finds() -> None:
    panel = waves(2, 40)
    windows = windows_of(panel, horizon=3, min_context=5)
    windows = windows.take(np.array([0, 9, len(windows) - 1]))
    batch = Units.of("log", "window", 6, panel).batch(panel, windows, context=8, horizon=3)
    for w, (first, cut) in enumerate(zip(windows.first, windows.cut, strict=True)):
        past = np.log(panel.y[max(first, cut - 8):cut])
        loc = past[-6:].mean()
        scale = np.sqrt(np.mean((past - loc) ** 2))
        np.testing.assert_allclose(batch.context[w, 8 - len(past):], (past - loc) / scale)
        assert np.isnan(batch.context[w, :8 - len(past)]).all()
        np.testing.assert_allclose(batch.target[w], (np.log(panel.y[cut:cut + 3]) - loc) / scale)
        np.testing.assert_allclose([batch.loc[w, 0], batch.scale[w, 0]], [loc, scale])


def test_a_context_without_a_logarithm_has_no_unit_under_log_and_others_keep_theirs() -> None:
    panel = Panel.of([[1.0, 2.0, 3.0, 4.0, 5.0], [1.0, -2.0, 3.0, 4.0, 5.0]], Calendar.of("step"))
    windows = windows_of(panel, horizon=1, min_context=4).take(np.array([0, 1]))
    by_log, plain = (Units.of(name, "window", 1, panel).batch(panel, windows, context=4, horizon=1)
                     for name in ("log", "none"))
    assert np.isnan(by_log.scale).tolist() == np.isnan(by_log.target).tolist() == [[False], [True]]
    assert np.isfinite(plain.scale).all()


def test_batches_part_and_join_without_a_change_and_what_is_absent_stays_absent() -> None:
    whole = Batch(np.arange(12.0).reshape(6, 2), target=np.arange(6.0)[:, None])
    again = Batch.joined((whole.take(slice(begin, begin + 4)) for begin in (0, 4)), 6)
    np.testing.assert_array_equal(again.context, whole.context)
    np.testing.assert_array_equal(again.target, whole.target)
    assert (len(again), again.loc, again.scale) == (6, None, None)
    assert whole.take([4, 0]).map(lambda array: -array).target.tolist() == [[-4.0], [0.0]]
