from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forecast.cli import main
from forecast.series.calendar import Calendar
from forecast.showing.inside import spoken
from tests.test_cli import AIR, SHOPS, Run, run

__all__ = ["run"]
TINY = ("--hidden", "4", "--set", "train.steps=4", "--set", "train.epoch_steps=2", "--set", "model.skip=false",
        "--set", "backtest.windows=1", "--no-final-fit", "--set", "model.members=1")
WAYS: dict[str, tuple[str, ...]] = {
    "lstm": ("--set", "model.members=4"),
    **{cell: ("--cell", cell) for cell in ("gru", "rnn", "peephole", "coupled")},
    "all of it": ("--bidirectional", "--attention", "--layers", "2"),
    "one step": ("--context", "12", "--set", "model.segment=12"), "flat": ("--set", "model.head=flat", "--attention")}
DRAWN = ("rnn", "all of it", "one step")                                # each with other rows; the lstm is drawn below


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store for each way to build the network, trained on AirPassengers without the linear skip."""
    folder = tmp_path_factory.mktemp("stores")
    for name, way in WAYS.items():
        with pytest.raises(SystemExit) as ended:
            main(["--store", str(folder / name.replace(" ", "_")), "train", str(AIR), *TINY, *way, "-q"])
        assert not ended.value.code
    return folder


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures, which take the most of a second, are not drawn."""
    monkeypatch.setattr("forecast.tasks.explain.draw", lambda *_, **__: None)


def strict(text: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    return document


def leaves(content: Any) -> Iterator[Any]:
    if isinstance(content, (dict, list)):
        for part in content.values() if isinstance(content, dict) else content:
            yield from leaves(part)
    else:
        yield content


def is_picture(path: Path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG\r\n") and path.stat().st_size > 20_000


@pytest.mark.parametrize("way", WAYS)
def test_every_cell_is_explained_in_words_json_and_a_picture(run: Run, stores: Path, tmp_path: Path, way: str,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    store = stores / way.replace(" ", "_")
    if way not in DRAWN:
        monkeypatch.setattr("forecast.tasks.explain.draw", lambda *_, **__: None)
    ended = run("--store", store, "explain")
    assert ended.code == 0, ended.err
    assert way not in DRAWN or is_picture(tmp_path / "explain.png")
    labels = {line.split(" ")[0] for line in ended.out.splitlines()}
    assert labels >= {"context", "cell", "memory", "exposes", "reads", "lags"}
    spans = re.findall(r"(\S+ \S+) back", next(line for line in ended.out.splitlines() if line.startswith("remembers")))
    assert 1 <= len(spans) == len(set(spans))                           # none is at once a tenth and a hundredth
    names = {"lstm": "LSTM", "gru": "GRU", "peephole": "peephole LSTM", "coupled": "coupled LSTM", "rnn": "RNN"}
    assert re.search(rf"^cell +{names.get(way, '.*')} of 4 units", ended.out, re.MULTILINE)
    assert ("forgets" in labels) == (way != "one step")
    assert ("lets" in labels) == (way != "rnn")
    assert ("attends" in labels) == (way in ("all of it", "flat"))
    assert ("writes" in labels) == (way != "flat")

    monkeypatch.setattr("forecast.tasks.explain.draw", lambda *_, **__: None)
    again = run("--store", store, "explain", "--json", "-o", "other.png")
    document = strict(again.out)
    assert document["picture"] == "other.png"
    layers = {"l0", "l0_reverse", "l1", "l1_reverse"} if way == "all of it" else {"l0"}
    assert set(document["layers"]) == layers
    assert {len(layer["half_life_points"]) for layer in document["layers"].values()} == {4}
    assert sum(document["memory"]["units"].values()) == (0 if way == "one step" else 4)
    assert (document["decoder"] is None) == (way == "flat")
    if decoder := document["decoder"]:
        assert set(decoder["layers"]) == ({"l0", "l1"} if way == "all of it" else {"l0"})
        assert decoder["steps"] * decoder["step"]["points"] >= 12
        assert decoder["steps"] == len(decoder["left"]) - 1
    assert sum(document["influence"]["whole"]["by_lag"]) == pytest.approx(1)
    for step in document["exposure"]["steps"]:
        assert sum(step["units"].values()) == pytest.approx(1)          # of the decoder, which is handed a memory
        assert step["network"] == 1                                     # there is no linear skip here
    if document["attention"]:
        assert [sum(row) for row in document["attention"]["weights"]] == pytest.approx([1] * 12)
    for number in re.findall(r"\d+(?:\.\d+)?%?", ended.out):
        assert is_in(number, document), number


@pytest.mark.slow
@pytest.mark.parametrize("way", [way for way in WAYS if way not in DRAWN])
def test_every_other_cell_is_drawn(run: Run, stores: Path, tmp_path: Path, way: str) -> None:
    assert run("--store", stores / way, "explain").code == 0
    assert is_picture(tmp_path / "explain.png")


def is_in(number: str, document: Any) -> bool:
    """Whether a number of the text stands in the document, or is one of it rounded."""
    text = number.rstrip("%")
    decimals, factor = len(text.partition(".")[2]), 100 if number.endswith("%") else 1
    return any(number in leaf if isinstance(leaf, str) else f"{abs(factor * leaf):.{decimals}f}" == text
               for leaf in leaves(document) if leaf is not None)


def test_where_the_skip_serves_alone_no_gate_is_shown_and_a_way_to_see_one_is_told(
        run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("train", AIR, "--hidden", "4", "--set", "train.steps=0", "--set", "model.members=1")
    ended = run("explain")
    assert ended.code == 0
    assert "the LSTM is not used: others did better on held-out windows" in ended.out
    assert "12 months (lag 12)" in ended.out
    assert "memory" not in ended.out
    assert "--set model.skip=false" in ended.err
    assert is_picture(tmp_path / "explain.png")
    monkeypatch.setattr("forecast.tasks.explain.draw", lambda *_, **__: None)
    document = strict(run("explain", "--json").out)
    assert (document["used"], document["memory"], document["exposure"], document["layers"]) == (False, None, None, {})
    assert document["influence"]["network"] is None


@pytest.mark.usefixtures("undrawn")
def test_a_series_is_chosen_by_its_id_and_as_many_lags_are_named_as_asked_for(run: Run, tmp_path: Path
                                                                                    ) -> None:
    lines = SHOPS.read_text().splitlines(keepends=True)
    ids = list(dict.fromkeys(line.split(",")[0] for line in lines[1:]))[:4]
    (tmp_path / "four.csv").write_text("".join(x for x in lines if x.split(",")[0] in ("store", *ids)))
    run("train", "four.csv", "--hidden", "4", "--set", "train.steps=0", "--set", "model.members=1")
    first = run("explain", "-o", "first.png")
    assert f"series     {ids[0]}, the first of {len(ids)}; another: forecast explain SERIES" in first.err
    document = strict(run("explain", ids[2], "--json", "--lags", "2").out)
    assert document["series"] == ids[2]
    shares = [lag["share"] for lag in document["influence"]["whole"]["lags"]]
    assert shares == sorted(shares, reverse=True)
    assert len(shares) == 2
    wrong = run("explain", "nobody")
    assert (wrong.code, len(wrong.err.splitlines())) == (2, 1)
    assert "there is no series nobody. There are" in wrong.err
    assert ids[-1] in wrong.err or "more" in wrong.err
    assert "--data" in run("explain", "data.csv").err


@pytest.mark.usefixtures("undrawn")
def test_the_data_are_the_present_contents_or_those_named(run: Run, stores: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text(AIR.read_text() + "1961-01,450\n")
    context = strict(run("--store", stores / "gru", "explain", "--json", "--data", "new.csv").out)["context"]
    assert context["to"] == "1961-01"
    assert strict(run("--store", stores / "gru", "explain", "--json").out)["context"]["to"] == "1960-12"


@pytest.mark.parametrize(("arguments", "code", "words"), [
    (("explain", "-o", "x.jpg"), 2, "a picture is written as .png"), (("explain", "--model", "no"), 4, "no model 'no'"),
    (("explain", "--data", "x.png", "-o", "x.png"), 2, "written over"), (("explain", "--lags", "0"), 2, "lags")],
    ids=lambda a: " ".join(a) if isinstance(a, tuple) else "")
def test_a_wrong_request_is_one_line(run: Run, stores: Path, tmp_path: Path, arguments: tuple[str, ...], code: int,
                                     words: str) -> None:
    ended = run("--store", stores / "gru", *arguments)
    assert ended.code == code
    assert words in ended.err
    assert "Traceback" not in ended.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("undrawn")
def test_a_picture_that_takes_the_place_of_another_is_said_to_and_no_other_is(run: Run, stores: Path, tmp_path: Path
                                                                               ) -> None:
    (tmp_path / "explain.png").write_bytes(b"of another series")
    over, beside = (run("--store", stores / "gru", "explain", *name) for name in ((), ("-o", "other.png")))
    assert "drew       explain.png   replaced the one there\n" in over.err
    assert "drew       other.png\n" in beside.err


@pytest.mark.usefixtures("undrawn")
def test_quiet_says_only_where_the_picture_is(run: Run, stores: Path) -> None:
    ended = run("--store", stores / "lstm", "explain", "-q")
    assert (ended.out, ended.err) == ("explain.png\n", "")


def test_a_picture_that_cannot_be_drawn_leaves_the_old_one(run: Run, stores: Path, tmp_path: Path,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: object, file: Any, **_: object) -> None:
        file.write(b"half a picture")
        raise OSError(28, "No space left on device")

    (tmp_path / "explain.png").write_bytes(b"old")
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    assert run("--store", stores / "rnn", "explain").code == 9
    assert {f.name: f.read_bytes() for f in tmp_path.iterdir()} == {"explain.png": b"old"}


def test_explain_loads_no_torch(stores: Path, tmp_path: Path) -> None:
    code = ("import sys\nfrom forecast.cli import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit as ended:\n"
            "    assert not ended.code\nassert 'torch' not in sys.modules")
    subprocess.run([sys.executable, "-c", code, "--store", str(stores / "lstm"), "explain"], check=True, cwd=tmp_path,
                   capture_output=True)
    assert is_picture(tmp_path / "explain.png")


def test_a_hostile_name_is_drawn_and_told_harmless(run: Run, tmp_path: Path) -> None:
    name = "\x1b[31m$x^{"
    lines = [f"{name},{t},{100 + t % 6 + (t * 7 % 11) / 10}" for t in range(90)]
    (tmp_path / "h.csv").write_text("id,ds,y\n" + "\n".join(lines) + "\n")
    shutil.rmtree(tmp_path / ".forecast", ignore_errors=True)
    run("train", "h.csv", "--horizon", "4", *TINY)
    ended = run("explain")
    assert ended.code == 0, ended.err
    assert "\x1b" not in ended.out + ended.err
    assert is_picture(tmp_path / "explain.png")


# lengths of time

@pytest.mark.parametrize(("freq", "points", "words"), [
    ("30min", 86.4, "1.8 days"), ("30min", 48, "1 day"), ("30min", 24, "12 hours"), ("30min", 1, "30 minutes"),
    ("30min", 0.01, "18 seconds"), ("h", 336, "14 days"), ("D", 1000, "2.7 years"), ("D", 7, "7 days"),
    ("W", 1.5, "1.5 weeks"), ("W", 0.5, "0.5 weeks"), ("MS", 27, "27 months"), ("MS", 36, "3 years"),
    ("MS", 1, "1 month"), ("QS", 2, "6 months"), ("YS", 1.25, "1.2 years"), ("B", 5, "5 business days"),
    ("step", 1, "1 step"), ("step", 2500.0, "2,500 steps"), ("10", 2, "2 steps"), ("D", np.inf, "no end"),
    ("D", np.nan, "-")])
def test_a_length_of_time_in_words(freq: str, points: float, words: str) -> None:
    assert spoken(points, Calendar.of(freq)) == words
