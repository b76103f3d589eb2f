"""predict beside its bands: paths, totals and chances, as they are asked for and as they are written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest

from forecast.errors import RequestError
from forecast.model import reconciling
from forecast.model.events import event_of
from forecast.model.reconciling import Agreement, groups_of, mint
from forecast.reading.contract import Contract
from forecast.series.calendar import Calendar
from forecast.series.forecast import Forecast
from forecast.series.panel import Panel
from forecast.tasks import joint
from forecast.tasks.groups import Gathered, Groups
from forecast.writing.periods import Periods
from tests.test_cli import Run, run

__all__ = ["run"]
DAYS, HORIZON = 70, 10


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three shops of two regions, daily up to Tuesday 10 March 2026; one of them has nothing but whole numbers."""
    rng = np.random.default_rng(0)
    days = pd.date_range("2025-12-31", periods=DAYS).strftime("%Y-%m-%d")
    rows = [f"{shop},{day},{20 + 5 * np.sin(t * 2 * np.pi / 7) + rng.normal():.{places}f},{region}"
            for shop, region, places in (("a", "north", 2), ("b, the second", "south", 2), ("c", "north", 0))
            for t, day in enumerate(days)]
    path = tmp_path / "shops.csv"
    path.write_text("\n".join(["shop,day,sales,region", *[r.replace("b, the second", '"b, the second"') for r in rows]])
                    + "\n")
    return path


def table(run: Run, data: Path, *asked: object, output: str = "out.csv") -> pd.DataFrame:
    ended = run("predict", data, "--horizon", HORIZON, "-q", *asked, "-o", output)
    assert (ended.code, ended.out.strip().endswith(output)) == (0, True), ended.err
    return pd.read_parquet(output) if output.endswith(".parquet") else pd.read_csv(output)


def test_samples_are_columns_or_long_rows_and_parquet_holds_the_same(run: Run, data: Path) -> None:
    wide = table(run, data, "--samples", 7)
    names = [f"sample_{n}" for n in range(1, 8)]
    assert list(wide) == ["shop", "day", *names]
    assert (len(wide), wide["day"].iloc[0], wide["shop"].unique().tolist()) == (
        3 * HORIZON, "2026-03-11", ["a", "b, the second", "c"])
    long = table(run, data, "--samples", 7, "--layout", "long")
    assert list(long) == ["shop", "day", "sample", "value"]
    assert long["value"].tolist() == wide[names].to_numpy().ravel().tolist()
    packed = table(run, data, "--samples", 7, output="out.parquet")
    assert packed[names].to_numpy().tolist() == wide[names].to_numpy().tolist()
    assert str(packed["day"].dtype).startswith("datetime64")


def test_samples_are_whole_where_all_values_were_and_never_below_zero_where_none_was(run: Run, data: Path) -> None:
    wide = table(run, data, "--samples", 50)
    values = wide.filter(like="sample").to_numpy()
    assert (values[2 * HORIZON:] == np.rint(values[2 * HORIZON:])).all()
    assert not (values[:HORIZON] == np.rint(values[:HORIZON])).all()
    assert values.min() >= 0


def test_the_samples_of_a_series_do_not_depend_on_which_others_are_asked_for_and_a_seed_gives_others(
        run: Run, data: Path) -> None:
    whole, one = table(run, data, "--samples", 5), table(run, data, "--samples", 5, "--series", "c")
    assert one.to_numpy().tolist() == whole[whole["shop"] == "c"].to_numpy().tolist()
    other = table(run, data, "--samples", 5, "--seed", 1)
    assert (other.filter(like="sample").to_numpy() != whole.filter(like="sample").to_numpy()).mean() > 0.5


def test_samples_have_the_bands_of_the_forecast(run: Run, data: Path) -> None:
    bands, drawn = table(run, data), table(run, data, "--samples", 4_000).filter(like="sample").to_numpy()
    for name, q in (("yhat_lo_95", 0.025), ("yhat_lo_80", 0.1), ("yhat", 0.5), ("yhat_hi_80", 0.9)):
        below = np.mean(drawn[:HORIZON] <= bands[name].to_numpy()[:HORIZON, None], axis=1)
        assert np.abs(below - q).max() < 4 * np.sqrt(q * (1 - q) / 4_000) + 1e-3, name      # rounded to 7 digits


def test_a_week_is_from_monday_to_sunday_and_what_lies_in_the_horizon_is_said(run: Run, data: Path) -> None:
    ended = run("predict", data, "--horizon", HORIZON, "--sum", "week")
    assert ended.code == 0
    totals = pd.read_csv("totals.csv")
    assert list(totals) == ["shop", "period", "steps", "of", "yhat", "yhat_lo_80", "yhat_hi_80", "yhat_lo_95",
                            "yhat_hi_95", "yhat_mean", "cutoff", "model"]
    assert totals.iloc[:2, 1:4].to_numpy().tolist() == [["2026-03-09", 5, 7], ["2026-03-16", 5, 7]]
    assert "periods    in the horizon, 2026-03-09 has 5 of its 7 days, 2026-03-16 has 5 of its 7 days" in ended.err
    assert "6 rows = 3 series x 2 weeks" in ended.err


def test_a_total_has_the_sum_of_the_means_and_bands_between_independent_steps_and_steps_all_alike(
        run: Run, data: Path) -> None:
    steps, total = table(run, data, "--mean"), table(run, data, "--sum", "all")
    first = steps[steps["shop"] == "a"]
    row = total.iloc[0]
    assert row["period"] == "2026-03-11..2026-03-20"
    assert row["yhat_mean"] == pytest.approx(first["yhat_mean"].sum(), rel=1e-6)
    width = (first["yhat_hi_80"] - first["yhat_lo_80"]).to_numpy()
    assert np.sqrt(np.sum(width**2)) < row["yhat_hi_80"] - row["yhat_lo_80"] < width.sum()


def test_groups_are_named_by_static_columns_or_ids_and_add_up(run: Run, data: Path) -> None:
    alone = table(run, data, "--sum", "month")
    grouped = table(run, data, "--static", "region", "--sum", "month", "--by", "region")
    assert grouped[["region", "period", "steps", "of"]].to_numpy().tolist() == [
        ["north", "2026-03", HORIZON, 31], ["south", "2026-03", HORIZON, 31]]
    assert grouped["yhat_mean"].iloc[0] == pytest.approx(alone["yhat_mean"].iloc[[0, 2]].sum(), rel=1e-6)
    by_id = table(run, data, "--sum", "month", "--by", "shop")
    assert by_id["shop"].tolist() == alone["shop"].tolist()


@pytest.mark.parametrize("gain", [10.0, 0.0])                           # reconciled anyway, and never
def test_regions_add_up_to_the_whole_and_shops_to_their_region(
        run: Run, data: Path, monkeypatch: pytest.MonkeyPatch, gain: float) -> None:
    monkeypatch.setattr(reconciling, "GAIN", gain)
    found = table(run, data, "--static", "region", "--sum", "week", "--by", "all,region,shop")
    assert found[["region", "shop"]].fillna("").to_numpy()[::2].tolist() == [
        ["", ""], ["north", ""], ["south", ""], ["north", "a"], ["south", "b, the second"], ["north", "c"]]
    whole, north, south, a, b, c = found["yhat_mean"].to_numpy().reshape(6, 2)
    for total, parts in ((whole, north + south), (north, a + c), (south, b)):
        assert parts == pytest.approx(total, rel=1e-6)                  # written to 7 digits
    plain = table(run, data, "--static", "region", "--sum", "week", "--by", "region", "--together")
    assert (np.abs(plain["yhat_mean"].to_numpy()[:2] / north - 1) < 1e-6).all() == (gain == 0)


def test_paths_and_means_of_groups_add_up_to_every_digit_that_counts() -> None:
    rng = np.random.default_rng(0)
    panel = Panel.of([rng.gamma(9.0, size=50) for _ in range(4)], Calendar.of("step"), ids=list("abcd"))
    asked = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 1, 1], *np.eye(4)], dtype=bool)
    groups = Groups((), tuple(("",) for _ in asked), asked)
    several = groups_of(asked)
    root = rng.normal(size=(7, 7))
    gathered = Gathered.blank(groups, Agreement(several, mint(root @ root.T, several)), 200, 2, 6)
    values = np.sort(rng.normal(10, 1, (4, 6, 3)), axis=2)
    periods = Periods("week", 50, np.array([0, 0, 1, 1, 1, 1]), ("one", "two"), np.array([7, 7]))
    part = Forecast(panel, (0.1, 0.5, 0.9), values, np.full(4, "x", dtype=object))
    gathered.add(joint.taken(part, np.arange(3)), rng.normal(10, 1, (3, 200, 6)), periods)
    gathered.add(joint.taken(part, np.arange(3, 4)), rng.normal(10, 1, (1, 200, 6)), periods)
    own = Forecast(panel.summed(several), (0.1, 0.5, 0.9), np.sort(rng.normal(33, 2, (3, 6, 3)), axis=2),
                   np.full(3, "x", dtype=object))
    before = gathered.totals.sums.copy()
    gathered.agree(own, periods, negative=True)
    assert np.abs(gathered.totals.sums - before).min() > 0
    for found in (gathered.totals.sums, gathered.totals.means):
        whole, first, second, a, b, c, d = found
        for total, parts in ((whole, first + second), (first, a + b), (second, c + d)):
            np.testing.assert_allclose(parts, total, rtol=0, atol=1e-9)


def test_all_is_the_whole_and_without_a_sum_each_step_is_a_total(run: Run, data: Path) -> None:
    steps, means = table(run, data, "--by", "all"), table(run, data, "--mean")
    assert steps["period"].tolist() == [f"2026-03-{day}" for day in range(11, 21)]
    assert steps["yhat_mean"].to_numpy() == pytest.approx(means["yhat_mean"].to_numpy().reshape(3, HORIZON).sum(axis=0))
    ended = run("predict", data, "--horizon", HORIZON, "--by", "all")
    assert "groups     added up from the series: on " in ended.err


def test_of_a_series_that_ended_totals_of_groups_hold_only_what_lies_in_the_horizon_of_the_others(
        run: Run, data: Path) -> None:
    """One shop closed long ago, one is three days late."""
    lines = data.read_text().splitlines()
    data.write_text("\n".join([line for line in lines if not line.startswith(
        ("c,2026-02", "c,2026-03", "a,2026-03-08", "a,2026-03-09", "a,2026-03-10"))]) + "\n")
    means = table(run, data, "--mean")
    inside = means[means["day"] > "2026-03-10"]
    ended = run("predict", data, "--horizon", HORIZON, "--static", "region", "--sum", "all", "--by", "all,region,shop",
                "-o", "all.csv")
    assert ("groups     2 series ended before the others: of them totals hold only what is forecast of times after "
            "2026-03-10: a, c\n") in ended.err
    found = pd.read_csv("all.csv")
    assert found[["region", "shop"]].fillna("").to_numpy().tolist() == [
        ["", ""], ["north", ""], ["south", ""], ["north", "a"], ["south", "b, the second"]]
    assert found["steps"].tolist() == [10, 7, 10, 7, 10]
    assert found["yhat_mean"].iloc[0] == pytest.approx(inside["yhat_mean"].sum(), rel=1e-6)
    assert found["period"].iloc[:2].tolist() == ["2026-03-11..2026-03-20", "2026-03-11..2026-03-17"]


def test_totals_of_times_before_1970_end_where_the_horizon_ends_and_nothing_ended_early(
        run: Run, tmp_path: Path) -> None:
    months = [f"{1955 + k // 12}-{k % 12 + 1:02}" for k in range(72)]
    rows = [f"{month},{k % 12 + 5}" for k, month in enumerate(months)]
    (tmp_path / "old.csv").write_text("\n".join(["month,y", *rows]))
    ended = run("predict", tmp_path / "old.csv", "--sum", "all", "--by", "all", "-q", "-o", "out.csv")
    assert (ended.code, ended.err) == (0, "")
    assert pd.read_csv("out.csv")["period"].tolist() == ["1961-01..1961-12"]
    assert "1 row = 1 series x all steps" in run("predict", tmp_path / "old.csv", "--sum", "all").err


def test_a_picture_beside_totals_is_said_to_show_the_bands_of_the_series(run: Run, data: Path) -> None:
    for asked, words in ((("--sum", "week"), "   the bands of the series, step by step\n"), ((), "\n")):
        ended = run("predict", data, "--horizon", HORIZON, "--series", "a", *asked, "--plot", "p.svg")
        assert f"drew       p.svg{words}" in ended.err


@pytest.mark.parametrize("by", ["region,all", "all,region"])
def test_all_among_columns_is_the_whole_wherever_it_stands(run: Run, data: Path, by: str) -> None:
    found = table(run, data, "--static", "region", "--sum", "all", "--by", by)
    assert found["region"].fillna("").tolist() == ["", "north", "south"]
    assert found["yhat_mean"].iloc[0] == pytest.approx(found["yhat_mean"].iloc[1:].sum(), rel=1e-6)


def test_the_chance_of_what_is_sure_is_one_and_of_what_cannot_be_zero(run: Run, data: Path) -> None:
    for event, wanted in (("min > -1", [1, 1, 1]), ("10 in a row < 0", [0, 0, 0])):
        found = table(run, data, "--event", event)
        assert list(found) == ["shop", "event", "probability", "steps", "cutoff", "model"]
        assert found["probability"].tolist() == wanted
    half = run("--json", "predict", data, "--horizon", HORIZON, "--event", "sum > 200", "-o", "-")
    assert all(0 < row["probability"] < 1 for row in json.loads(half.out)["forecasts"])


def test_the_ledger_keeps_the_bands_and_the_issue_can_be_made_again(run: Run, data: Path) -> None:
    table(run, data, "--samples", 3, output="paths.csv")
    again = run("replay", "paths.csv")
    assert (again.code, "identical" in again.out + again.err) == (0, True), again.err
    assert run("predict", data, "--horizon", HORIZON).err.count("as issued before") == 1


REFUSED = ((("--samples", 3, "--sum", "all"), "--samples and --sum are files of their own"),
           (("--by", "region", "--samples", 3), "--samples and --by are files of their own"),
           (("--by", ","), "--by names no column"),
           (("--event", "max > 3", "--together"), "--together goes with --samples, or --by"),
           (("--seed", 3), "--seed goes with --samples, --sum or --event"),
           (("--sum", "year"), "--sum year: takes one of step, day, week, month, all"),
           (("--sum", "week", "--layout", "long"), "--sum has no --layout long"),
           (("--samples", 20_000), "--samples 20000 would be as many columns, and 10,000 are the most. Use --layout"),
           (("--samples", 10**12, "--layout", "long"), "--samples 1000000000000: so many paths of 10 steps"),
           (("--sum", "week", "--by", "price"), "--by price: there is no such static column. There is shop, all"),
           (("--by", "all", "--shard", "1/2"), "--by: a group may have series in several shards"),
           (("--event", "11 in a row > 3"), "the horizon has 10 steps"))


@pytest.mark.parametrize(("asked", "words"), REFUSED)
def test_what_cannot_be_asked_is_refused_by_name_and_nothing_is_written(
        run: Run, data: Path, asked: tuple[object, ...], words: str) -> None:
    ended = run("predict", data, "--horizon", HORIZON, *asked)
    assert (ended.code, words in ended.err) == (2, True), ended.err
    assert list(data.parent.glob("*.csv")) == [data]


def test_paths_that_do_not_fit_are_refused_before_data_are_read_with_the_most_that_do(
        run: Run, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = run("predict", "none.csv", "--horizon", HORIZON, "--samples", 10**12, "--layout", "long")
    assert (ended.code, "so many paths of 10 steps need" in ended.err) == (2, True), ended.err
    most = 5_000                                                        # of 10 steps, 10 copies, 8 bytes each
    monkeypatch.setattr(joint, "memory", lambda: most * 10 * 10 * 8)
    for more in ((), ("--together",), ("-o", "paths.parquet")):
        ended = run("predict", data, "--horizon", HORIZON, "--samples", most + 1, "--layout", "long", *more)
        assert (ended.code, "At most --samples 5000 will do" in ended.err) == (2, True), ended.err
    assert run("predict", data, "--horizon", HORIZON, "--samples", most, "--layout", "long", "-q",
               "-o", "paths.parquet").code == 0
    monkeypatch.setattr(joint, "memory", lambda: 1000)
    ended = run("predict", data, "--horizon", HORIZON, "--sum", "all")
    assert (ended.code, "2,000 paths of 10 steps need" in ended.err) == (2, True), ended.err


def test_an_event_is_read_as_it_is_written() -> None:
    paths = np.array([[[1.0, 5.0, 6.0, 2.0]]])
    for text, happens in (("sum > 13", True), ("sum > 14", False), ("SUM>=14", True), ("max > 5.5", True),
                          ("min<=1e0", True), ("mean < 3.5", False), ("first > .5", True), ("last >= 3", False),
                          ("2 in a row > 4", True), ("3 in a row >= 5", False), ("4 in a row > -1", True)):
        assert event_of(text).on(paths)[0, 0] == happens, text


@pytest.mark.parametrize(("text", "at", "wanted"), [
    ("total > 3", 1, "sum, mean, max"), ("sum 3", 5, "one of > >= < <="), ("sum >> 3", 5, "one of"),
    ("max > 3,5", 7, "a number"), ("max >", 6, "a number"), ("3 in row > 4", 6, '"a"'), ("0 in a row > 3", 1, "sum"),
    ("max > 3 or", 9, "nothing more"), ("", 1, "sum"), ("3", 2, '"in"'), ("sum > nan", 7, "a number")])
def test_an_event_that_cannot_be_read_is_refused_at_its_place(text: str, at: int, wanted: str) -> None:
    with pytest.raises(RequestError, match=f"at character {at} stands .* wanted is {wanted}") as refused:
        event_of(text)
    assert "3 in a row > 80" in str(refused.value)
    assert f'event "{text[:at - 1]}^{text[at - 1:]}"' in str(refused.value)


def periods(freq: str, origin: str, kind: str, count: int, **others: object) -> tuple[tuple[str, ...], list[int]]:
    calendar = Calendar.of(freq, np.datetime64(origin))
    first = int(calendar.ordinals(np.array([origin], dtype="datetime64[us]"))[0])
    contract = Contract(id=None, time="t", targets=("y",), layout="single", decimals=0, calendar=calendar,
                        **others)                                       # type: ignore[arg-type]
    found = Periods.of(contract, kind, first=first, stop=first + count)
    return found.names, found.whole.tolist()


def test_periods_have_the_steps_of_their_calendar() -> None:
    assert periods("D", "2024-02-28", "month", 3) == (("2024-02", "2024-03"), [29, 31])
    assert periods("h", "2026-03-28T23:00", "day", 2) == (("2026-03-28", "2026-03-29"), [24, 24])
    assert periods("h", "2026-03-28T22:00", "day", 24, utc=True, tz="Europe/Berlin") == (
        ("2026-03-28", "2026-03-29"), [24, 23])                         # an hour is left out that night
    assert periods("B", "2026-03-06", "week", 2) == (("2026-03-02", "2026-03-09"), [5, 5])
    assert periods("MS", "2026-01-01", "month", 2) == (("2026-01", "2026-02"), [1, 1])


def test_a_period_shorter_than_a_step_and_dates_of_numbers_are_refused() -> None:
    with pytest.raises(RequestError, match=r"--sum day: a step of these data is longer, monthly \(MS\)"):
        periods("MS", "2026-01-01", "day", 3)
    contract = Contract(id=None, time="t", targets=("y",), layout="single", decimals=0, calendar=Calendar.of("step"))
    with pytest.raises(RequestError, match="the times of these data are numbers, not dates"):
        Periods.of(contract, "week", first=0, stop=4)


def test_parts_of_any_size_draw_the_same(run: Run, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ("--static", "region", "--sum", "week", "--by", "region")
    whole, samples = table(run, data, *asked), table(run, data, "--samples", 20, output="s.parquet")
    monkeypatch.setattr(joint, "AT_ONCE", 1)
    pd.testing.assert_frame_equal(table(run, data, *asked), whole)
    pd.testing.assert_frame_equal(table(run, data, "--samples", 20, output="s.parquet"), samples)
    assert pyarrow.parquet.ParquetFile("s.parquet").num_row_groups == 3             # one series at a time
