"""Beside: work on several cores comes to what it comes to on one."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

from forecast.methods.baselines import HoltWinters, Theta
from forecast.model import predictor as module
from forecast.model.predictor import Predictor
from forecast.model.prior import shipped
from forecast.series.calendar import Calendar
from forecast.series.panel import Panel
from forecast.system import beside
from forecast.training import weighing
from tests.conftest import quick, trained, waves


def test_results_stand_in_the_order_of_the_parts_however_long_each_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "workers", lambda: 2)
    second = threading.Event()

    def work(k: int) -> int:
        if k == 0:
            assert second.wait(10)                                     # it ends behind the second, beside it
        else:
            second.set()
        return 10 * k

    assert beside.side_by_side(work, range(5)) == [0, 10, 20, 30, 40]


def test_a_part_that_fails_fails_the_whole_and_filters_of_warnings_stay_as_they_were(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "workers", lambda: 2)
    before = list(warnings.filters)
    with pytest.raises(ZeroDivisionError):
        beside.side_by_side(lambda k: 1 // k, [2, 1, 0, 1])
    assert list(warnings.filters) == before


def test_omp_num_threads_bounds_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "usable_cpus", lambda: 4)
    for asked, threads in (("1", 1), ("3", 3), ("9", 4), ("", 4), ("many", 4)):
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
        assert beside.workers() == threads


@pytest.mark.parametrize("threads", [1, 2])
def test_a_forecast_is_the_same_to_the_bit_in_blocks_of_any_size_on_any_number_of_threads(
        threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    panel = Panel.of([np.cumsum(random.normal(size=40 + s)) for s in range(30)], Calendar.steps())
    asked = Predictor.of_prior(quick(model_horizon=4, model_season=(6,)), panel, shipped())
    names = ("prior", HoltWinters.name, Theta.name, "seasonal_naive")
    monkeypatch.setattr(Predictor, "_said", lambda *_: np.nan)          # nobody stands in for a stray
    whole, _ = asked.parts(panel, names)
    monkeypatch.setattr(beside, "workers", lambda: threads)
    monkeypatch.setattr(module, "ROWS", 7)
    apart, _ = asked.parts(panel, names)
    for name in names:
        np.testing.assert_array_equal(apart[name], whole[name])


@pytest.mark.parametrize(("worth", "spared"), [(1e9, set(weighing.SLOW)), (0.0, set())])
def test_slow_forecasters_that_held_out_windows_do_not_miss_are_not_asked(
        worth: float, spared: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weighing, "SURE", 0)
    monkeypatch.setattr(weighing, "NOT_MISSED", worth)
    predictor = trained(quick(train_steps=0, model_blend=True), waves())
    assert set(predictor.not_missed) == spared
    assert not spared & set(predictor.blend.names)
    assert bool(worth) != bool(set(weighing.SLOW) & set(predictor.blend.names))


BLAS = """
import numpy, threadpoolctl
from forecast.system.beside import side_by_side
def threads(_=None):
    return [it["num_threads"] for it in threadpoolctl.threadpool_info() if it["user_api"] == "blas"]
threadpoolctl.threadpool_limits(2, user_api="blas")
before = threads()
for most in (1, 2):
    found = side_by_side(threads, range(2), most=most)
    assert found == [[1] * len(before)] * 2, found
assert threads() == before, threads()
"""


def test_who_has_numpy_before_us_has_one_thread_for_its_products_while_we_work() -> None:
    alone = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
    ended = subprocess.run([sys.executable, "-c", BLAS], env=alone, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
