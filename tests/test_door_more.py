"""What else the command line has, asked for in Python: workers, pictures, changes, bands that learn."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import forecast
from forecast.errors import DataError, RequestError
from tests.test_cli import Run, run
from tests.test_door_paths import sales
from tests.test_whatif import PLAN
from tests.test_whatif import trained as trained

__all__ = ["run", "trained"]


@pytest.fixture
def shops(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> forecast.Model:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return forecast.load()


def plan(promo: int = 0) -> pd.DataFrame:
    frame = pd.DataFrame([line.split(",") for line in PLAN.splitlines()[1:]], columns=PLAN.splitlines()[0].split(","))
    return frame.assign(day=pd.to_datetime(frame["day"]), promo=promo)


def test_a_change_makes_the_difference_that_the_command_writes(run: Run, shops: forecast.Model) -> None:
    change = "promo=1 @ 2026-03-06..2026-03-07"
    assert run("whatif", "--future", "plan.csv", "--change", change).code == 0
    written = pd.read_csv("whatif.csv", parse_dates=["day"])
    found = shops.whatif(change, future="plan.csv")
    assert list(found) == list(written)
    assert found["day"].tolist() == written["day"].tolist()
    for name in list(written)[2:]:
        assert found[name].to_numpy() == pytest.approx(written[name].to_numpy(), rel=1e-6), name
    assert [total["series"] for total in found.attrs["totals"]] == ["a", "b"]
    assert found.attrs["remarks"] == []
    by_frames = shops.whatif(instead=plan(1), future=plan(), series="a")
    assert by_frames.equals(shops.whatif("promo=1 @ 2026-03-05..2026-03-08", future=plan(), series=["a"]))
    assert not list(Path().glob("**/ledger.db"))


def test_a_change_far_from_all_that_was_seen_is_remarked(shops: forecast.Model) -> None:
    remarks = shops.whatif("promo=1000 @ 2026-03-06", future="plan.csv").attrs["remarks"]
    assert any("lies outside of all that was seen" in remark for remark in remarks)
    with pytest.raises(RequestError, match=r"nothing is changed. Give change= or instead="):
        shops.whatif(future="plan.csv")


def test_a_plan_that_lacks_is_made_up_for_by_a_call_and_no_command(shops: forecast.Model) -> None:
    with pytest.raises(DataError) as found:
        shops.predict()
    assert found.value.hint == ("model.future() gives the rows to fill in, for future=; or fill_future='last', zero or "
                                "seasonal makes up for them")


def test_workers_change_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    class Here:
        """Works in this process."""

        def map(self, work: Any, pieces: Any) -> Any:
            asked.append(work)
            return map(work, pieces)

    monkeypatch.setattr("forecast.door.asking.engine_of", lambda *given: asked.append(given) or Here())
    found = forecast.predict(sales(), horizon=7, jobs=2)
    assert asked[0] == (2, None, None)
    assert len(asked) == 2                                              # the work was given away
    monkeypatch.undo()
    assert found.equals(forecast.predict(sales(), horizon=7))


def test_workers_that_cannot_be_are_refused_in_the_words_of_python(shops: forecast.Model) -> None:
    for asked, words in (({"jobs": 0}, "jobs=0: takes a number from 1"), ({"jobs": 1.5}, "jobs=1.5: takes a number"),
                         ({"engine": "spark"}, "engine='spark': takes one of processes, ray"),
                         ({"address": "auto"}, "address= goes with engine='ray'")):
        for call in (lambda **more: forecast.predict(sales(), horizon=7, **more), shops.predict, shops.evaluate):
            with pytest.raises(RequestError) as refused:
                call(**asked)
            assert words in str(refused.value)


def test_a_picture_goes_where_it_is_named_and_over_no_data(shops: forecast.Model) -> None:
    shops.predict(future="plan.csv", plot=Path("p.png"))
    assert Path("p.png").stat().st_size > 1000
    with pytest.raises(RequestError, match=r"a picture is written as .png or .svg"):
        shops.predict(future="plan.csv", plot="shops.csv")


def test_bands_learn_from_what_was_issued_and_so_such_a_forecast_is_kept(shops: forecast.Model) -> None:
    with pytest.raises(RequestError, match="is recorded"):
        shops.predict(future="plan.csv", adapt=True)
    assert shops.predict(future="plan.csv", adapt=True, record=True).attrs["issue"]
