"""Whatever the data, no forecast that nobody would sign: what must hold of every odd little case.

Most cases call what the commands call; some go through the command line. A case that fails is made again by its number:
`odd_case(17)` is its file, `answered(odd_case(17), folder)` what the program says to it."""

# T times  H horizon  Q quantiles

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forecast.cli import main
from forecast.config import Config
from forecast.errors import ForecastError, about
from forecast.model.predictor import Predictor
from forecast.reading.reader import read_panel
from forecast.tasks.fitting import planned
from forecast.training.fit import finished, fit, refit
from tests.odd_series import BASES, CODES, STEPS, UNITS, Case, Floats, odd_case

SELDOM_NOT = frozenset({"stays_near_where_it_has_settled"})             # what does not hold of all the others
EVERYDAY, SLOW = range(200), range(200, 10_200)
BY_COMMAND = 12                                                         # every so many cases
SETTINGS = {"model.hidden": 4, "model.members": 2, "train.steps": 2, "train.epoch_steps": 2, "train.threads": 1}
FLAGS = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={value}")]
FOUR, REFITTED = 5, 4                                                   # every so many of the others
SIZE = 3.0                                                              # ranges that a forecast may leave the past by
WORSE = 1.2                                                             # times a naive forecast's error


@dataclass(frozen=True)
class Answer:
    """What the program says to a case."""

    code: int
    words: str                                                          # what it wrote to stderr, or the refusal
    forecasts: dict[int, Floats] = field(default_factory=dict)          # of a series: (H, Q), ascending along Q
    scores: dict[str, Any] = field(default_factory=dict)                # of the backtest: forecaster -> metric -> value
    record: str = ""                                                    # what the run keeps of how it was made
    live: bool = True


def answered(case: Case, folder: Path) -> Answer:
    (folder / "data.csv").write_text(case.text)
    return by_command(case, folder) if case.seed % BY_COMMAND == 0 else by_function(case, folder)


def by_function(case: Case, folder: Path) -> Answer:
    """As train and predict do it, without what they keep and say; the final fit is left out of most."""
    more = {"model.horizon": case.horizon, "model.members": 4 if case.seed % FOUR == 0 else 2}
    config = Config().override(SETTINGS | more, source="test")
    try:
        panel, _ = read_panel(folder / "data.csv").panel.with_values()
        with about(folder / "data.csv"):
            _, known, plan = planned(config, panel)
        predictor = Predictor.new(config, known, plan)
        predictor = finished(fit(predictor, known))
        if case.seed % REFITTED == 0:
            predictor = finished(refit(predictor, panel))
        forecast = predictor.predict(panel, plan.horizon * case.ahead)
    except ForecastError as error:
        return Answer(error.exit_code, str(error))
    except Exception as error:
        return Answer(1, f"{type(error).__name__}: {error}")
    return Answer(0, "", {_place(i): values for i, values in zip(panel.ids, forecast.values, strict=True)})


def by_command(case: Case, folder: Path) -> Answer:
    horizon = [] if case.horizon is None else ["--horizon", str(case.horizon)]
    code, words = _run("-C", folder, "train", "data.csv", *FLAGS, *horizon)
    if code not in (0, 5, 6):
        return Answer(code, words)
    run, = (folder / ".forecast" / "runs").iterdir()
    config, metrics = ((run / f"{name}.json").read_text() for name in ("config", "metrics"))
    ahead = [] if case.ahead == 1 else ["--horizon", str(case.ahead * json.loads(config)["plan"]["horizon"])]
    live = (folder / ".forecast" / "live").exists()
    after, more = _run("-C", folder, "predict", "--model", run.name, *ahead)
    written = (folder / "predictions.csv").read_text().splitlines() if after in (0, 5) else []
    said: dict[int, list[list[float]]] = {}
    for row in csv.DictReader(written):
        ends = ("yhat_lo_95", "yhat_lo_80", "yhat", "yhat_hi_80", "yhat_hi_95")
        said.setdefault(_place(row.get("id", "")), []).append([float(row[end]) for end in ends])
    forecasts = {k: np.array(values) for k, values in said.items()}
    return Answer(after or code, words + more, forecasts, json.loads(metrics).get("models", {}),
                  (run / "run.json").read_text() + metrics, live)


def _place(name: str) -> int:
    """Which series of a case bears this id."""
    return int(name[1:]) if name[:1] == "s" else 0


def _run(*arguments: object) -> tuple[int, str]:
    words = StringIO()
    with redirect_stdout(TextIOWrapper(BytesIO())), redirect_stderr(words), pytest.raises(SystemExit) as ended:
        main([str(a) for a in arguments])
    return int(ended.value.code or 0), words.getvalue()


# What must hold: each says what is wrong, nothing where all is well.

def ends_as_it_should(case: Case, answer: Answer) -> Iterator[str]:
    if answer.code not in (0, 3, 5, 6):
        yield f"exit {answer.code}: {answer.words}"


def names_the_file_it_refuses(case: Case, answer: Answer) -> Iterator[str]:
    if answer.code == 3 and "data.csv" not in answer.words:
        yield answer.words


def is_ascending_and_finite(case: Case, answer: Answer) -> Iterator[str]:
    for k, values in answer.forecasts.items():
        if not np.isfinite(values).all() or (np.diff(values, axis=1) < 0).any():
            yield f"series {k}: {values}"


def stays_within_three_ranges(case: Case, answer: Answer) -> Iterator[str]:
    """Of what the series ever showed; a constant one goes on exactly."""
    for k, values in answer.forecasts.items():
        low, high = _span(case.shown[k])
        if _leaves(values, case.shown[k]):
            yield f"series {k}: {values.min():g} .. {values.max():g}, it showed {low:g} .. {high:g}"


def is_not_led_by_a_code(case: Case, answer: Answer) -> Iterator[str]:
    """The median is within three ranges of the values, codes for missing ones apart."""
    for k, values in answer.forecasts.items():
        median, coded = values[:, values.shape[1] // 2], case.shown[k][np.isnan(case.series[k])]
        if not np.isnan(coded).all() and _leaves(median, case.series[k]):
            low, high = _span(case.series[k])
            yield f"series {k}: median {median.min():g} .. {median.max():g}, it showed {low:g} .. {high:g}"


def has_bands_where_values_move(case: Case, answer: Answer) -> Iterator[str]:
    """At a phase whose last three values all differ, some width; but for a straight line that is gone on with."""
    for k, values in answer.forecasts.items():
        past = case.shown[k]
        season = case.season if len(past) > 3 * case.season else 1
        for h, (low, *_, high) in enumerate(values.tolist()):
            begin = len(past) + h % season
            seen = past[[begin - j * season for j in (3, 2, 1)]] if begin >= 3 * season else past[:0]
            line = seen[-1:] + (seen[-1:] - seen[-2:-1]) * (1 + h // season)
            if low == high and len(set(seen[~np.isnan(seen)])) == 3 and not np.allclose(low, line, rtol=1e-6):
                yield f"series {k}, step {h + 1}: no band around {low:g} after {seen.tolist()}"
                break


def is_not_below_0_where_nothing_was(case: Case, answer: Answer) -> Iterator[str]:
    for k, values in answer.forecasts.items():
        if _span(case.shown[k])[0] >= 0 and (values < 0).any():
            yield f"series {k}: {values.min():g}"


def is_whole_where_all_counts_are_small(case: Case, answer: Answer) -> Iterator[str]:
    for k, values in answer.forecasts.items():
        past, broken = case.shown[k][~np.isnan(case.shown[k])], values[values != np.round(values)]
        if broken.size and (past == np.round(past)).all() and past.min() >= 0 and past.max() <= 20:
            yield f"series {k}: {broken[0]:g}, of {sorted(set(past.tolist()))[:5]}"


def stays_near_where_it_has_settled(case: Case, answer: Answer) -> Iterator[str]:
    """Two seasons and eight values after the last change, the median is within three ranges of what came since."""
    for k, values in answer.forecasts.items():
        since = case.shown[k][-case.settled[k]:]
        if len(since) >= len(case.shown[k]) or np.sum(~np.isnan(since)) < max(2 * case.season, 8):
            continue
        (low, high), (least, most), median = _span(since), _span(case.shown[k]), values[:, values.shape[1] // 2]
        if _leaves(median, since, room=0.05 * (most - least)):
            yield f"series {k}: median {median.min():g} .. {median.max():g}, {len(since)} times {low:g} .. {high:g}"


def tells_where_it_is_worse(case: Case, answer: Answer) -> Iterator[str]:
    """One that is clearly worse than a naive forecast in its own backtest is not live without a word."""
    metric = "mase" if answer.scores.get("seasonal_naive", {}).get("mase") else "mae"
    own, *naive = [score.get(metric) for score in answer.scores.values()] or [None]
    best = min((error for error in naive if error is not None), default=None)
    if answer.live and own and best is not None and own > WORSE * best:
        if "worse" not in answer.words:
            yield f"{metric} {own:.3g}, naive {best:.3g}, and stderr does not say so"
        if "worse" not in answer.record:
            yield f"{metric} {own:.3g}, naive {best:.3g}, and the run does not say so"


def _span(values: Floats) -> tuple[float, float]:
    return float(np.nanmin(values)), float(np.nanmax(values))


def _leaves(values: Floats, past: Floats, *, room: float = 0.0) -> bool:
    """Whether something lies farther from the past than its range, three times; a constant one leaves no room."""
    low, high = _span(past)
    room += SIZE * (high - low) + 1e-6 * max(abs(low), abs(high))       # as much as digits written take away
    return bool((values < low - room).any() or (values > high + room).any())


INVARIANTS: tuple[Callable[[Case, Answer], Iterator[str]], ...] = (
    ends_as_it_should, names_the_file_it_refuses, is_ascending_and_finite, stays_within_three_ranges,
    is_not_led_by_a_code, has_bands_where_values_move, is_not_below_0_where_nothing_was,
    is_whole_where_all_counts_are_small, stays_near_where_it_has_settled, tells_where_it_is_worse)


def complaints(case: Case, answer: Answer, *, but: frozenset[str] = frozenset()) -> list[str]:
    """Of all invariants but these."""
    return [f"{holds.__name__}: {case}: {told}" for holds in INVARIANTS
            if holds.__name__ not in but for told in holds(case, answer)]


def judged(seeds: range, folder: Path, *, but: frozenset[str]) -> list[str]:
    told = list[str]()
    for seed in seeds:
        place = folder / str(seed)
        place.mkdir()
        case = odd_case(seed)
        told += complaints(case, answered(case, place), but=but)
    return told


@pytest.mark.parametrize("begin", EVERYDAY[::25])
def test_no_odd_series_gets_a_forecast_that_nobody_would_sign(tmp_path: Path, begin: int) -> None:
    assert judged(range(begin, begin + 25), tmp_path, but=frozenset()) == []


@pytest.mark.slow
@pytest.mark.parametrize("begin", SLOW[::250])
def test_nor_do_ten_thousand_others(tmp_path: Path, begin: int) -> None:
    assert judged(range(begin, begin + 250), tmp_path, but=SELDOM_NOT) == []


def test_a_number_is_always_the_same_case_and_the_everyday_ones_are_of_every_kind() -> None:
    assert odd_case(17).text == odd_case(17).text != odd_case(18).text
    told = " ".join(str(odd_case(seed)) for seed in EVERYDAY)
    kinds = [*STEPS, *BASES, "level x", "level +", "level -", "trend", "constant", "spikes", "gap", "holes"]
    assert [kind for kind in kinds if kind not in told] == []
    assert {code for code in CODES if repr(code) in told} == {*CODES}
    assert [unit for unit in UNITS if not any(repr(unit) in str(odd_case(seed)) for seed in SLOW[:2000])] == []


CALM = np.array([5.0, 7.0, 6.0, 4.0] * 6)
NEW = np.append(CALM[:8], [3.0] * 16)
CODED = np.where(np.arange(24) == 5, np.nan, CALM)
LIKE_BEFORE = np.array([[4.0, 5.0, 6.0], [6.0, 7.0, 8.0], [5.0, 6.0, 7.0], [3.0, 4.0, 5.0]])
MOVING = CALM + np.arange(24) ** 1.5
SCORES = {"lstm": {"mase": 1.3}, "seasonal_naive": {"mase": 1.0}}


@pytest.mark.parametrize(("past", "answer", "broken"), [
    (CALM, Answer(0, "", {0: LIKE_BEFORE}), set()),
    (CALM, Answer(3, "data.csv:3: column 'y': no number"), set()),
    (CALM, Answer(3, "too short"), {"names_the_file_it_refuses"}),
    (CALM, Answer(1, "data.csv"), {"ends_as_it_should"}),
    (CALM, Answer(2, "data.csv"), {"ends_as_it_should"}),
    (CALM, Answer(0, "", {0: LIKE_BEFORE[:, ::-1]}), {"is_ascending_and_finite"}),
    (CALM, Answer(0, "", {0: LIKE_BEFORE + np.array([0, 0, np.inf])}),
     {"is_ascending_and_finite", "stays_within_three_ranges"}),
    (CALM, Answer(0, "", {0: LIKE_BEFORE + np.array([0, 0, 10])}), {"stays_within_three_ranges"}),
    (CALM, Answer(0, "", {0: LIKE_BEFORE - np.array([5, 0, 0])}), {"is_not_below_0_where_nothing_was"}),
    (CALM - 9, Answer(0, "", {0: LIKE_BEFORE - 9}), set()),
    (CALM, Answer(0, "", {0: LIKE_BEFORE + np.array([0.0, 0.2, 0.4])}), {"is_whole_where_all_counts_are_small"}),
    (CALM * 10, Answer(0, "", {0: LIKE_BEFORE * 10 + 0.5}), set()),
    (np.full(24, 6.0), Answer(0, "", {0: np.full((4, 3), 6.0)}), set()),
    (np.full(24, 6.0), Answer(0, "", {0: LIKE_BEFORE}), {"stays_within_three_ranges"}),
    (CODED, Answer(0, "", {0: LIKE_BEFORE + np.array([0, 0, 500])}), set()),
    (CODED, Answer(0, "", {0: LIKE_BEFORE + 500}), {"is_not_led_by_a_code"}),
    (MOVING, Answer(0, "", {0: np.full((4, 3), 90.0)}), {"has_bands_where_values_move"}),
    (10 + 2.0 * np.arange(24), Answer(0, "", {0: 58 + 2.0 * np.arange(4)[:, None] * [1, 1, 1]}), set()),
    (NEW, Answer(0, "", {0: np.full((4, 3), 3.0)}), set()),
    (NEW, Answer(0, "", {0: LIKE_BEFORE}), {"stays_near_where_it_has_settled"}),
    (CALM, Answer(0, "is worse", {}, SCORES, "is worse"), set()),
    (CALM, Answer(0, "is worse", {}, SCORES), {"tells_where_it_is_worse"}),
    (CALM, Answer(0, "", {}, SCORES, "is worse"), {"tells_where_it_is_worse"}),
    (CALM, Answer(6, "", {}, SCORES, live=False), set()),
])
def test_each_invariant_is_broken_by_what_breaks_it_alone(past: Floats, answer: Answer, broken: set[str]) -> None:
    shown = np.where(np.isnan(past), 999.0, past)
    case = Case(0, (), "", (past,), (shown,), season=4, horizon=4, ahead=1, settled=(16 if past is NEW else 24,))
    assert {holds.__name__ for holds in INVARIANTS if list(holds(case, answer))} == broken
