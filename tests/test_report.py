"""forecast report: one page that needs nothing else, says whether to trust the forecast, and lets nothing from a file
become markup."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.config import resolve
from forecast.errors import DataError
from forecast.ledger.options import Options
from forecast.model.predictor import Predictor
from forecast.model.prior import shipped
from forecast.reporting.axes import Span, round_ticks, runs
from forecast.reporting.packing import Sized, letters, packed
from forecast.reporting.page import Reason
from forecast.series.calendar import Calendar
from forecast.series.forecast import Forecast
from forecast.series.panel import Panel
from forecast.showing.fans import Fan, Said
from forecast.showing.tables import column
from forecast.store.store import Store
from forecast.tasks import evaluate, listing
from forecast.tasks.sums import sums_of
from forecast.tasks.trust import lately_of, verdict_of
from tests.test_cli import AIR, Run, run, trained_projects

__all__ = ["run", "trained_projects"]
HOSTILE = ("<script>document.title='broken'</script>", '"><img src=x onerror="document.title=1">', "</script><b>bold",
           "<!--", "{{7*7}}{% raw %}", "\u202eevil\u2066", "a\u200bb", "😀 shop", "'); DROP", "&lt;b&gt;")


class Page(HTMLParser):
    """The elements of a page, their attributes, and the text of each kind of element."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def words(self) -> str:
        return " ".join(" ".join(t for kind, texts in self.texts.items() if kind not in ("script", "style")
                                 for t in texts).split())

    @property
    def block(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.texts["script"][0])
        return found


def page(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def table(path: Path, ids: tuple[str, ...] = ("a", "b"), days: int = 60) -> Path:
    """Daily series with a season of seven, each larger than the one before."""
    quoted = ['"' + name.replace('"', '""') + '"' for name in ids]
    dates = np.datetime64("2026-01-01") + np.arange(days)
    lines = [f"{name},{day},{(k + 1) * (20 + (d % 7)) + d * 7 % 5}"
             for k, name in enumerate(quoted) for d, day in enumerate(dates)]
    path.write_text("id,date,sales\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def unpacked(steps: list[int | None], exponent: int) -> list[float]:
    total, found = 0, []
    for step in steps:
        total += step or 0
        found.append(math.nan if step is None else total * 10.0 ** exponent)
    return found


def test_the_page_says_the_verdict_the_scores_and_how_to_make_it_again(run: Run, tmp_path: Path) -> None:
    ended = run("report", AIR, "--json")
    document = json.loads(ended.out)
    assert ended.code == 0
    words = page(tmp_path / "report.html").words
    assert document["verdict"] in words
    assert "On 4 past windows it erred by" in words
    assert "repeating the last season (12 months before) by 36.98" in words     # as forecast evaluate says
    assert "144 rows, 1 series, step MS, from 1949-01 to 1960-12." in words
    assert hashlib.sha256(AIR.read_bytes()).hexdigest() in words
    assert {r["label"]: r["state"] for r in document["reasons"]} == {
        "score": "good", "coverage": "good", "live": "unknown", "series": "good", "forecast": "good", "units": "good",
        "repaired": "good", "late": "look", "runs": "unknown"}


def test_the_numbers_of_the_page_are_those_of_the_file_and_of_predict(run: Run, tmp_path: Path) -> None:
    assert run("report", AIR).code == run("predict", AIR).code == 0
    block = page(tmp_path / "report.html").block
    series, = block["series"]
    y = [float(line.split(",")[1]) for line in AIR.read_text().splitlines()[1:]]
    assert unpacked(series["y"], series["e"]) == pytest.approx(y, abs=0.5 * 10.0 ** series["e"])
    issued = [line.split(",") for line in (tmp_path / "predictions.csv").read_text().splitlines()[1:]]
    lows = unpacked(series["f"]["b"][0], series["e"])
    assert unpacked(series["f"]["p"], series["e"]) == pytest.approx([float(r[1]) for r in issued], abs=0.6)
    assert lows == pytest.approx([float(r[2]) for r in issued], abs=0.6)
    assert [len(said["p"]) for said in series["b"]] == [12] * 4
    assert block["x"]["letters"] == 7                                   # 1949-01


def test_nothing_from_a_file_becomes_markup(run: Run, tmp_path: Path) -> None:
    assert run("report", table(tmp_path / "data.csv", HOSTILE)).code == 0
    shown = page(tmp_path / "report.html")
    assert len(shown.of("script")) == 3                                 # the numbers, uPlot and ours
    assert not shown.of("img")
    assert not [attributes for _, attributes in shown.elements if any(name.startswith("on") for name in attributes)]
    names = {series["n"] for series in shown.block["series"]} - {listing.TOGETHER}
    assert names == {*HOSTILE[:5], "\\u202eevil\\u2066", "a\\u200bb", *HOSTILE[7:]}
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b]", (tmp_path / "report.html").read_text(encoding="utf-8"))


def test_the_policy_lets_our_scripts_and_styles_run_and_nothing_else(run: Run, tmp_path: Path) -> None:
    run("report", AIR)
    shown, text = page(tmp_path / "report.html"), (tmp_path / "report.html").read_text(encoding="utf-8")
    policy = next(meta["content"] for meta in shown.of("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in policy
    for kind, pattern in (("script", r"<script>(.*?)</script>"), ("style", r"<style>(.*?)</style>")):
        digests = [base64.b64encode(hashlib.sha256(found.encode()).digest()).decode()
                   for found in re.findall(pattern, text, flags=re.DOTALL)]
        assert rules[f"{kind}-src"].split() == [f"'sha256-{digest}'" for digest in digests]
    assert not [attributes for _, attributes in shown.elements if "style" in attributes or "src" in attributes]
    assert {a["href"][0] for a in shown.of("a")} == {"#"}
    assert not shown.of("link")


def test_without_scripts_the_worst_series_are_drawn_and_listed(run: Run, tmp_path: Path) -> None:
    run("report", table(tmp_path / "data.csv", tuple("abcdefg")))
    shown = page(tmp_path / "report.html")
    captions = shown.texts["figcaption"]
    listed = [series["n"] for series in shown.block["series"]]
    assert captions[:5] == listed[1:6]                                  # behind all series added up
    assert listed[0] == listing.TOGETHER
    assert len(shown.of("polygon")) == 5 * 2                            # two bands each


def test_a_total_has_the_band_that_predict_gives_it_and_not_the_ends_of_its_steps_added_up(run: Run, tmp_path: Path
                                                                                          ) -> None:
    assert run("report", AIR).code == run("predict", AIR, "--sum", "all", "-o", "totals.csv").code == 0
    header, row = (line.split(",") for line in (tmp_path / "totals.csv").read_text().splitlines())
    said = dict(zip(header, row, strict=True))
    rows = re.findall("<tr>.*all 12 months.*</tr>", (tmp_path / "report.html").read_text(encoding="utf-8"))
    shown = [float(text.replace(",", "")) for text in re.findall("<td>(.*?)</td>", rows[0])]
    assert shown[1:] == pytest.approx([float(said["yhat_lo_80"]), float(said["yhat_hi_80"])], abs=0.5)
    series, = page(tmp_path / "report.html").block["series"]
    assert shown[1] > 1.005 * sum(unpacked(series["f"]["b"][0], series["e"]))


def test_a_sum_of_series_expects_what_they_expect_and_some_of_their_errors_cancel() -> None:
    panel = Panel.of([5 + np.arange(10.0) % 3] * 2, Calendar.of("step"), ids=["a", "b"])
    values = np.broadcast_to(np.array([8.0, 10.0, 12.0]), (2, 3, 3)).copy()
    forecast = Forecast(panel, (0.1, 0.5, 0.9), values, np.array(["x", "x"], dtype=object))
    predictor = Predictor.of_prior(resolve({"model.horizon": 3}, environment={}, file=None), panel, shipped())
    sums = sums_of(forecast, predictor, Options(), [80.0])
    assert sums.expected.tolist() == [20, 20, 20]
    assert sums.total == 60
    low, high = sums.bands[80.0]
    assert (low > 16).all()                                             # 8 + 8, were all luck shared
    assert (high < 24).all()
    assert 48 < sums.whole[80.0][0] < 60 - 3 * 2 / math.sqrt(6) < 60 < sums.whole[80.0][1] < 72


@pytest.mark.parametrize(("code", "state", "said"), [
    (0, "good", "predict wrote its output (2 hours ago)"), (5, "good", "predict wrote its output"),
    (3, "look", "predict failed with exit code 3 (2 hours ago; the last good one was 2026-03-23 04:00 UTC)")])
def test_how_the_last_runs_ended_is_told(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int,
                                         state: str, said: str) -> None:
    monkeypatch.setenv("FORECAST_NOW", "2026-03-24T06:00:00")
    good = 1774238400                                                   # 2026-03-23T04:00:00Z
    names = (("last_run_timestamp_seconds", 1774324800), ("last_success_timestamp_seconds", good), ("exit_code", code))
    (tmp_path / "forecast-predict.prom").write_text("# HELP x y\n" + "".join(
        f'forecast_{name}{{task="forecast-predict",command="predict"}} {value}\n' for name, value in names))
    (tmp_path / "other.prom").write_text("node_load1 0.3\n")
    (tmp_path / "bad.prom").write_bytes(b"\xff\x00forecast_exit_code{")
    reasons = json.loads(run("report", table(tmp_path / "data.csv"), "--json").out)["reasons"]
    told = next(r for r in reasons if r["label"] == "runs")
    assert told["state"] == state
    assert told["text"].startswith(said)


def test_a_report_of_nothing_says_so(run: Run, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("date,y\n2026-01-01,1\n2026-01-02,2\n2026-01-03,3\n")
    ended = run("report", "data.csv", "--json")
    document = json.loads(ended.out)
    assert (ended.code, document["state"]) == (0, "unknown")
    words = page(tmp_path / "report.html").words
    assert "It was not scored: the data hold no past window that the model had not learned from" in words
    assert "Nothing to show: nothing was issued of these data yet; forecast predict does." in words


def test_steps_that_are_numbers_are_forecast_as_far_as_is_asked(run: Run, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("ds,y\n" + "".join(f"{t},{10 + t % 4}\n" for t in range(60)))
    assert run("report", "data.csv").code == 2                          # nobody knows how far
    assert run("report", "data.csv", "--horizon", "5").code == 0
    series, = page(tmp_path / "report.html").block["series"]
    assert len(series["f"]["p"]) == 5
    assert "all 5 steps" in page(tmp_path / "report.html").words


@pytest.mark.parametrize(("values", "texts"), [
    ([453.3, 664.0, 80.0], ["453.3", "664.0", "80.0"]), ([402.0, 1952.4], ["402", "1,952"]),
    ([3.0, math.nan], ["3", "-"]), ([0.0, 0.0], ["0", "0"]), ([1e12, 5.0], ["1.000e+12", "5"]),
    ([-0.01234, 0.5], ["-0.0123", "0.5000"])])
def test_numbers_below_each_other_have_as_many_decimals(values: list[float], texts: list[str]) -> None:
    assert column(values) == texts


def test_a_store_that_is_being_written_is_read_whole(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                                     ) -> None:
    for days in (50, 57):
        monkeypatch.setenv("FORECAST_NOW", f"2026-03-{days - 40}T04:00:00")
        run("predict", table(tmp_path / "data.csv", days=days), "--horizon", "7")
    store = Store(tmp_path / ".forecast")
    (store.folder / ".issues.db.0badc0de.tmp").write_bytes(b"half")
    (store.runs / "20260301T000000Z-lstm-0000.partial").mkdir(parents=True)
    scored, calls = evaluate.issued_scores, list[str]()

    def pruned_once(*given: Any, **named: Any) -> Any:
        calls.append("")
        if len(calls) == 1:                                             # somebody removes old issues meanwhile
            raise DataError("an issue is gone", code="ledger")
        return scored(*given, **named)

    monkeypatch.setattr(evaluate, "issued_scores", pruned_once)
    with store.lock():
        (store.runs / "20260301T000000Z-lstm-0000.partial").mkdir(parents=True)
        ended = run("report", "data.csv", "--json")
    live = next(r for r in json.loads(ended.out)["reasons"] if r["label"] == "live")
    assert ended.code == 0
    assert live["text"].startswith("14 issued values came true")
    assert len(calls) == 2


def test_lately_is_the_newest_quarter_of_what_was_issued() -> None:
    frame = pd.DataFrame({"cutoff": np.repeat(np.arange(8), 2), "y": 0.0, "yhat": [1.0] * 12 + [3.0] * 4})
    facts = SimpleNamespace(live=SimpleNamespace(frame=frame), time_texts=lambda ordinals: [f"day {ordinals[0]}"])
    found = lately_of(facts)                                            # type: ignore[arg-type]
    assert found is not None
    assert (found.since, found.error, found.before, found.ratio) == ("day 6", 3.0, 1.0, 3.0)
    facts.live.frame = frame[frame["cutoff"] < 7]
    assert lately_of(facts) is None                                     # type: ignore[arg-type]


@pytest.mark.parametrize(("output", "said"), [("folder.html", "is a folder"), ("data.html", "would be written over"),
                                              ("x.pdf", "a report is written as .html")])
def test_an_output_that_is_no_place_for_a_page_is_refused(run: Run, tmp_path: Path, output: str, said: str) -> None:
    (tmp_path / "folder.html").mkdir()
    table(tmp_path / "data.html")
    ended = run("report", "data.html", "-o", output)
    assert ended.code == 2
    assert said in ended.err


def test_the_next_report_tells_what_has_changed(run: Run, tmp_path: Path) -> None:
    run("report", table(tmp_path / "data.csv", days=60))
    assert "There was no report of these data before" in page(tmp_path / "report.html").words
    run("report", "data.csv")
    assert "Nothing has changed since." in page(tmp_path / "report.html").words
    run("report", table(tmp_path / "data.csv", days=63))
    assert "The data reach 3 days further: to 2026-03-04, then to 2026-03-01." in page(tmp_path / "report.html").words
    text = (tmp_path / "data.csv").read_text()
    (tmp_path / "data.csv").write_text(text.replace('"a",2026-01-05,', '"a",2026-01-05,1'))
    run("report", "data.csv")
    assert "Values up to 2026-03-04 were revised." in page(tmp_path / "report.html").words


@pytest.mark.parametrize("content", ["", "[]", "{", '{"x": 1}', '{"data.csv": []}'])
def test_a_memory_of_reports_that_is_damaged_is_none(run: Run, tmp_path: Path, content: str) -> None:
    (tmp_path / ".forecast").mkdir()
    (tmp_path / ".forecast/reports.json").write_text(content)
    assert run("report", table(tmp_path / "data.csv")).code == 0
    assert "There was no report of these data before" in page(tmp_path / "report.html").words


def test_what_was_issued_and_came_true_is_scored(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for days in (50, 57, 64):
        monkeypatch.setenv("FORECAST_NOW", f"2026-03-{days - 40}T04:00:00")
        table(tmp_path / "data.csv", days=days)
        assert run("predict", "data.csv", "--horizon", "7").code == 0
    ended = run("report", "data.csv", "--json")
    live = next(r for r in json.loads(ended.out)["reasons"] if r["label"] == "live")
    assert live["text"].startswith("28 issued values came true")        # 2 series, 7 days, twice
    assert "3 issues: the truth is known for 28 of 42 rows" in page(tmp_path / "report.html").words
    assert "forecast replay 20260324T040000Z-" in page(tmp_path / "report.html").words


def test_of_many_series_the_worst_and_the_totals_are_shown_and_that_is_said(run: Run, tmp_path: Path,
                                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MOST", 4)
    monkeypatch.setattr(listing, "WORST", 3)
    run("report", table(tmp_path / "data.csv", tuple("abcdef")))
    shown = page(tmp_path / "report.html")
    assert len(shown.block["series"]) == 3 + 1
    assert "the 3 worst of 6 series, and the totals of all." in shown.words


def test_series_with_a_trained_model_are_scored_on_what_it_had_not_learned(run: Run, trained_projects: Path,
                                                                           tmp_path: Path) -> None:
    ended = run("-C", trained_projects / "whole", "report", "-o", tmp_path / "r.html")
    assert ended.code == 0
    words = page(tmp_path / "r.html").words
    assert "by the model as it was before it learned from what it is scored on: 4 past windows of 12 steps" in words
    assert "What moves it, and what it remembers" in words


def test_the_verdict_is_as_bad_as_the_worst_reason() -> None:
    def verdict(*states: str) -> str:
        return verdict_of([Reason(state, label, "") for label, state in zip(("score", "live", "late"), states,
                                                                          strict=True)])[0]

    assert verdict("good", "good", "good") == "good"
    assert verdict("good", "unknown", "good") == "good"
    assert verdict("good", "good", "look") == "look"
    assert verdict("look", "bad", "good") == "bad"
    assert verdict("unknown", "unknown", "look") == "unknown"
    assert verdict("unknown", "good", "good") == "good"


@given(st.lists(st.one_of(st.none(), st.floats(-1e9, 1e9)), min_size=1, max_size=30))
def test_packed_numbers_come_back_to_five_digits_of_the_largest(values: list[float | None]) -> None:
    y = np.array([math.nan if v is None else v for v in values])
    sized = Sized.of(Fan("", np.arange(len(y)), y))
    back = np.array(unpacked(sized.steps(y), sized.exponent))
    assert (np.isnan(back) == np.isnan(y)).all()
    largest = np.nanmax(np.abs(y)) if np.isfinite(y).any() else 0.0
    np.testing.assert_allclose(back, y, rtol=0, atol=max(largest, 1e-300) * 1e-4)


def test_five_hundred_series_of_noise_take_less_than_two_megabytes() -> None:
    noise, points = np.random.default_rng(0), listing.NUMBERS // listing.MOST
    fans = [Fan("", np.arange(points), noise.uniform(-1e4, 1e4, points)) for _ in range(listing.MOST)]
    rows = [{"n": "x" * 80, "c": ["12345678"] * 5}] * len(fans)
    assert len(packed(fans, rows, Calendar.of("D"), levels=(), zone=None)) < 1_880_000     # and 100 kB of the rest


def test_the_axis_tells_every_time_by_its_steps() -> None:
    fan = Fan("", np.arange(3, 6), np.ones(3), Said(np.arange(6, 8), np.ones(2), {}))
    months = json.loads(packed([fan], [{}], Calendar.of("MS", "1970-01-01"), levels=(), zone=None))["x"]
    assert (months["unit"], months["letters"]) == (86_400_000_000, 7)
    assert months["steps"] == [[30, 1], [31, 1], [30, 1], [31, 1]]      # April to August
    numbers = json.loads(packed([fan], [{}], Calendar.of("step"), levels=(), zone=None))["x"]
    assert numbers == {"time": False, "at": 3, "unit": 1, "steps": [[1, 4]]}


def test_times_have_as_many_letters_as_they_need() -> None:
    for text, size in (("2026-01-01", 4), ("2026-02-01", 7), ("2026-02-03", 10), ("2026-02-03T04:05", 16),
                       ("2026-02-03T04:05:06", 19)):
        assert letters([np.datetime64(text, "us")]) == size


def test_ticks_are_round_and_lines_break_where_values_are_missing() -> None:
    assert round_ticks(0, 10) == [0, 2, 4, 6, 8, 10]
    assert round_ticks(-0.13, 0.24) == [-0.1, 0.0, 0.1, 0.2]
    assert round_ticks(96, 104, most=3) == [100]
    span = Span(0, 10, 0, 100)
    assert runs([0, 1, 2, 3], [1.0, 2.0, math.nan, 4.0], span, span) == [[(0, 10), (10, 20)], [(30, 40)]]
