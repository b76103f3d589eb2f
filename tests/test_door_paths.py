"""Paths, totals, groups and chances asked for in Python: the numbers of the command, refused in the words of Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import forecast
from forecast.errors import RequestError
from tests.test_cli import Run, run

__all__ = ["run"]


def sales() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    days = pd.date_range("2026-01-01", periods=70)
    return pd.concat([pd.DataFrame({"shop": shop, "day": days, "sales": rng.gamma(9.0, size=70).round(2),
                                    "region": region}) for shop, region in (("a", "n"), ("b", "s"), ("c", "n"))])


def test_paths_totals_and_chances_are_those_of_the_command(run: Run, tmp_path: Path) -> None:
    frame = sales()
    frame.to_csv(data := tmp_path / "sales.csv", index=False)
    for keywords in ({"samples": 4, "seed": 3}, {"sum": "week", "by": ["region"]}, {"by": "all"},
                     {"event": "sum > 60"}, {"samples": 2, "layout": "long"}):
        flags = [part for name, value in keywords.items()
                 for part in (f"--{name}", ",".join(value) if isinstance(value, list) else value)]
        ended = run("predict", data, "--model", "prior", "--horizon", 7, "--static", "region", *flags, "-o", "out.csv")
        assert ended.code == 0, ended.err
        asked: Any = keywords
        found = forecast.predict(frame, horizon=7, static="region", **asked)
        wanted = pd.read_csv("out.csv")
        assert list(found) == list(wanted)
        numbers = [name for name in wanted if wanted[name].dtype == float]
        assert found[numbers].to_numpy() == pytest.approx(wanted[numbers].to_numpy(), rel=1e-12)
        if "cutoff" in found:
            assert found["cutoff"].unique().tolist() == [pd.Timestamp("2026-03-11")]


def test_a_model_draws_too_and_scores_groups_and_an_event() -> None:
    model = forecast.train(sales(), horizon=5, static="region", quick=True, steps=5, members=1, hidden=4, season=7,
                           final_fit=False, blend=False)
    found = model.predict(samples=3)
    assert list(found) == ["shop", "day", "sample_1", "sample_2", "sample_3"]
    assert model.predict(sum="all", by="region")["region"].tolist() == ["n", "s"]
    joint = model.evaluate(event="max > 12", by="all,region").metrics["joint"]
    assert joint["groups"]["groups"] == 3
    assert 0 <= joint["event"]["rate"] <= 1


def test_a_seed_alone_is_the_setting_it_was() -> None:
    assert forecast.predict(sales(), horizon=7, seed=3).equals(forecast.predict(sales(), horizon=7))
    with pytest.raises(RequestError, match="seed"):
        forecast.predict(sales(), horizon=7, seed="x")                  # type: ignore[arg-type]


@pytest.mark.parametrize(("asked", "words"), [
    ({"samples": 0}, "samples=0: takes a whole number from 1"), ({"samples": 2.5}, "takes a whole number from 1"),
    ({"samples": 3, "seed": -1}, "seed=-1: takes a whole number from 0"),
    ({"layout": "long"}, "layout= goes with samples="), ({"event": "max >> 3"}, "at character 5 stands"),
    ({"sum": "week", "by": "price"}, "by='price': there is no such static column"),
    ({"sum": "day", "together": True}, "together=True goes with samples="),
    ({"samples": 3, "event": "max > 3"}, "are files of their own"),
    ({"samples": 10**9, "layout": "long"}, "samples=1000000000: so many paths of 1 step need")])
def test_what_cannot_be_asked_is_refused_in_the_words_of_python(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError) as refused:
        forecast.predict(sales(), horizon=7, **asked)
    assert words in str(refused.value)
