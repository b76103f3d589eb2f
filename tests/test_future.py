"""Plans: what is known of the horizon, read, checked, filled, kept, and made again."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import forecast
from forecast.errors import DataError, RequestError
from forecast.ledger.ledger import Ledger
from forecast.tasks.workspace import Workspace
from tests.test_cli import Run, run, succeed
from tests.test_roles import DAYS, shops

__all__ = ["run"]
FAST = ("--horizon", "3", "--season", "5", "--hidden", "4", "--set", "train.steps=0", "--set", "model.members=1")
ROLES = ("--known", "price,promo")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two shops, and a model that knows prices and promotions ahead."""
    folder = tmp_path_factory.mktemp("shops")
    (folder / "shops.csv").write_text(shops(56))
    succeed("-C", folder, "train", "shops.csv", "-q", *FAST, *ROLES)
    return folder


def plan(folder: Path, count: int = 3, price: object = 6, name: str = "plan.csv") -> Path:
    rows = [f"{s},{DAYS[k]},{price},{k % 2}" for s in ("north", "south") for k in range(56, 56 + count)]
    (folder / name).write_text("\n".join(["store,date,price,promo", *rows]) + "\n")
    return folder / name


def test_the_template_holds_a_row_a_series_and_step_and_what_is_known_already(run: Run, folder: Path) -> None:
    (folder / "shops.csv").write_text(shops(56, ahead=2))
    ended = run("future", "-o", "rows.csv")
    assert ended.code == 0
    lines = (folder / "rows.csv").read_text().splitlines()
    assert lines[:4] == ["store,date,price,promo", "north,2026-02-26,7,0", "north,2026-02-27,5,0", "north,2026-02-28,,"]
    assert len(lines) == 7
    assert "6 rows = 2 series x 3 days, 4 cells to fill in" in ended.err


def test_a_plan_that_was_filled_in_is_not_written_over_and_a_blank_one_is(run: Run, folder: Path) -> None:
    assert run("future").code == 0
    assert run("future", "--horizon", "2").code == 0                    # nobody has worked on it
    blank = (folder / "plan.csv").read_text()
    for work in (plan(folder).read_text(), blank.replace("26,,", "26,6,"), blank.replace("27,,", "27,6;5,")):
        assert work != blank
        (folder / "plan.csv").write_text(work)
        ended = run("future")
        assert (ended.code, (folder / "plan.csv").read_text()) == (2, work)
        assert ended.err.endswith("it would be lost. Name another file with -o, or remove it\n")


def test_the_template_names_series_as_the_data_do_and_is_read_back(
        run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"a/b,{item},{DAYS[k]},{k % 5 + item},{k % 2}" for item in (1, 2) for k in range(56)]
    (tmp_path / "two.csv").write_text("\n".join(["store,item,date,sales,promo", *rows]) + "\n")
    given = ("--id", "store,item", "--target", "sales", "--known", "promo")
    assert run("train", "two.csv", "-q", *FAST, *given).code == 0
    assert run("future", "-o", "rows.csv").code == 0
    lines = (tmp_path / "rows.csv").read_text().splitlines()
    assert lines[:2] == ["store,item,date,promo", "a/b,1,2026-02-26,"]
    (tmp_path / "rows.csv").write_text("\n".join([lines[0], *(line + "1" for line in lines[1:])]) + "\n")
    ended = run("predict", "--future", "rows.csv")
    assert ended.code == 0, ended.err


def test_a_name_that_a_spreadsheet_would_take_for_a_formula_is_read_back_from_a_plan(
        run: Run, folder: Path) -> None:
    for text in ("north", "=C3"), ("south", "'=C3"):      # one marked is the other
        (folder / "shops.csv").write_text((folder / "shops.csv").read_text().replace(*text))
    assert run("train", "-q", "shops.csv", *FAST, *ROLES).code == 0
    assert run("future", "-o", "rows.csv").code == 0
    lines = (folder / "rows.csv").read_text().splitlines()
    assert {line.split(",")[0] for line in lines[1:]} == {"'=C3", "''=C3"}
    filled = [f"{','.join(line.split(',')[:2])},6,{int(line[:2] == chr(39) * 2)}" for line in lines[1:]]
    (folder / "rows.csv").write_text("\n".join([lines[0], *filled]) + "\n")
    ended = run("predict", "--future", "rows.csv", "-o", "marked.csv")
    assert (ended.code, "not in the data" in ended.err) == (0, False), ended.err
    bare = [line.removeprefix("'") for line in filled]
    (folder / "rows.csv").write_text("\n".join([lines[0], *bare]) + "\n")
    assert run("predict", "--future", "rows.csv", "-o", "bare.csv").code == 0
    assert (folder / "marked.csv").read_text() == (folder / "bare.csv").read_text()


def test_a_plan_that_lacks_three_values_is_refused_with_these_three_and_the_old_forecast_stands(
        run: Run, folder: Path) -> None:
    path = plan(folder)
    assert run("predict", "--future", "plan.csv").code == 0
    before = (folder / "predictions.csv").read_bytes()
    path.write_text(path.read_text().replace("north,2026-02-27,6,1", "north,2026-02-27,,").replace(
        "south,2026-02-28,6,0", "south,2026-02-28,6,"))
    ended = run("predict", "--future", "plan.csv")
    assert ended.code == 3
    head, *rest = ended.err.splitlines()[-4:]
    assert head.endswith("shops.csv: 3 of 12 values known ahead are missing over the horizon. forecast future "
                         f"{Path('shops.csv').resolve()} --horizon 3 -o plan.csv writes the rows to fill in, for "
                         "--future plan.csv; or --fill-future last, zero or seasonal makes up for them")
    assert [line.split(": ", 1)[1] for line in rest] == [
        "column 'price': no value of \"north\" at 2026-02-27", "column 'promo': no value of \"north\" at 2026-02-27",
        "column 'promo': no value of \"south\" at 2026-02-28"]
    assert (folder / "predictions.csv").read_bytes() == before
    assert len(Ledger(folder / ".forecast" / "ledger.db").issues()) == 1
    said = run("predict", "--future", "plan.csv", "--json").err
    error = json.loads(said[said.index("{"):])["error"]
    assert [problem["column"] for problem in error["more"]] == ["price", "promo", "promo"]


@pytest.mark.parametrize(("rule", "filled"), [("last", [6, 6, 6]), ("zero", [0, 0, 0]), ("seasonal", [5, 6, 7])])
def test_what_is_missing_is_filled_by_rule_and_that_is_said_and_kept(run: Run, folder: Path, rule: str,
                                                                     filled: list[int]) -> None:
    ended = run("predict", "--fill-future", rule, "-o", "p.csv")
    assert ended.code == 0, ended.err
    assert f"--fill-future {rule}: north, south" in ended.err
    assert set(pd.read_csv(folder / "p.csv")["source"].str.extract(r"\((.*)\)")[0]) == {f"filled {rule}"}
    ledger = Workspace.at(folder).ledger
    block, = ledger.blocks(ledger.find("last"))
    assert block.ahead is not None
    assert block.ahead[0, :, 0].tolist() == filled
    assert ledger.find("last").options.fill_future == rule
    assert run("replay", "last").out.startswith("identical")


def test_an_explanation_takes_the_plan_and_is_refused_without_one_as_the_forecast_is(run: Run, folder: Path) -> None:
    bare, other = run("explain"), run("explain", "--fill-future", "mean")
    assert (bare.code, other.code) == (3, 2)
    assert "6 of 6 values known ahead are missing over the horizon" in bare.err
    assert not (folder / "explain.png").exists()
    plan(folder, price=7)
    document = json.loads(run("explain", "--future", "plan.csv", "--json").out)
    price, = (c for c in document["covariates"] if c["column"] == "price")
    assert [step["value"] for step in price["by_step"]] == [7, 7, 7]
    assert run("explain", "--future", "plan.csv", "-o", "plan.csv").code == 2
    assert run("explain", "--fill-future", "last").code == 0


def test_a_replay_takes_the_plan_that_was_known_then(run: Run, folder: Path) -> None:
    assert run("predict", "--future", plan(folder)).code == 0
    (folder / "plan.csv").unlink()
    ended = run("replay", "last")
    assert (ended.code, ended.out.split(":")[0]) == (0, "identical")
    assert "another history" not in ended.err
    assert json.loads(run("replay", "last", "--json").out)["data_revised"] is False


def test_a_new_plan_is_new_and_the_same_plan_is_not(run: Run, folder: Path) -> None:
    plan(folder)
    line = ("predict", "--future", "plan.csv", "--require-new")
    assert [run(*line).code, run(*line).code] == [0, 7]
    plan(folder, price=7)
    assert run(*line).code == 0
    assert run(*line).code == 7


def test_the_parts_of_a_difference_add_up_with_new_plans_among_them(run: Run, folder: Path) -> None:
    for price in (6, 9):
        assert run("predict", "--future", plan(folder, price=price)).code == 0
    total = json.loads(run("diff", "--json").out)["total"]
    parts = [total[name] for name in ("revised", "new_data", "new_plans", "new_model", "since")]
    assert total["before"] + sum(parts) == pytest.approx(total["now"])
    assert [parts[k] for k in (0, 1, 3, 4)] == [0, 0, 0, 0]


BAD = {                                                                 # plan -> words of its refusal
    "of other series": ("store,date,price,promo\nwest,2026-02-26,5,0\n", "is of other series: it has west, the data"),
    "another past": ("store,date,price,promo\nnorth,2026-02-25,9,0\nnorth,2026-02-26,5,0\n",
                     "column 'price': 9 at 2026-02-25 of \"north\", which is past, and the data have 6 there"),
    "without a column": ("store,date,cost\nnorth,2026-02-26,5\n", "has no column price, promo, used by the model"),
    "of text": ("store,date,price,promo\nnorth,2026-02-26,cheap,0\n", "plan.csv:2: column 'price': \"cheap\" is not a"),
    "twice": ("store,date,price,promo\n" + 2 * "north,2026-02-26,5,0\n", "\"2026-02-26\" stands twice in \"north\""),
    "of numbers as times": ("store,date,price,promo\nnorth,1,5,0\n", "column 'date': holds integers as times"),
    "of no rows": ("store,date,price,promo\n", "has a header and no rows"),
}


@pytest.mark.parametrize("case", BAD)
def test_each_fault_of_a_plan_has_its_own_sentence_and_nothing_is_written(run: Run, folder: Path, case: str) -> None:
    text, words = BAD[case]
    (folder / "plan.csv").write_text(text)
    ended = run("predict", "--future", "plan.csv")
    assert ended.code == 3
    assert words in ended.err
    assert not (folder / "predictions.csv").exists()


def test_a_plan_for_a_model_that_knows_nothing_ahead_and_a_role_for_a_trained_one_are_refused(
        run: Run, folder: Path) -> None:
    plan(folder)
    assert (run("predict", "--known", "price").code, run("predict", "--fill-future", "mean").code) == (2, 2)
    assert run("predict", "shops.csv", "--model", "prior", "--future", "plan.csv").code == 2
    assert run("predict", "--future", "nothing.csv").code == 3


def test_the_rows_of_the_data_file_are_a_plan_and_one_part_of_the_series_is_as_in_all(run: Run, folder: Path) -> None:
    (folder / "shops.csv").write_text(shops(56, ahead=3))
    whole = run("predict", "-o", "-").out.splitlines()
    parts = [run("predict", "-o", "-", "--shard", f"{k}/2").out.splitlines()[1:] for k in (1, 2)]
    assert parts == [whole[1:4], whole[4:]]
    assert run("predict", "-o", "-", "--series", "south").out.splitlines()[1:] == whole[4:]


def test_as_of_takes_what_stands_in_the_file_and_says_so(run: Run, folder: Path) -> None:
    ended = run("predict", "--as-of", "2026-02-20")
    assert ended.code == 0
    assert "what is known ahead is as it stands in the file now, and may have been revised since" in ended.err
    assert run("predict", "--as-of", "2026-02-24").code == 3            # two days of the horizon are not known


def test_check_lists_the_roles_and_writes_the_covariates(run: Run, folder: Path) -> None:
    (folder / "shops.csv").write_text(shops(56, ahead=2, kind=lambda s, k: ("a", "b")[s]))
    ended = run("check", "shops.csv", "--static", "kind", "--known", "price", "-o", "read.csv")
    assert "  known     price\n  static    kind (2 words)\n" in ended.out
    lines = (folder / "read.csv").read_text().splitlines()
    assert (lines[0], lines[57], lines[-1]) == ("store,date,sales,price,kind", "north,2026-02-26,,7,a",
                                                "south,2026-02-27,,5,b")


def test_init_writes_the_roles_that_were_found(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.csv").write_text(shops(ahead=3))
    assert run("init", "d.csv").code == 0
    assert 'known = ["price", "promo"]' in (tmp_path / "forecast.toml").read_text()


def test_in_python_a_plan_is_a_frame(folder: Path) -> None:
    model = forecast.load("live")
    data = pd.read_csv("shops.csv", parse_dates=["date"])
    rows = model.future(data)
    assert list(rows) == ["store", "date", "price", "promo"]
    assert len(rows) == 6
    with pytest.raises(DataError, match=r"12 of 12 values known ahead are missing"):
        model.predict(data)
    rows["price"], rows["promo"] = 6, [0, 1, 0, 0, 1, 0]
    ahead = model.predict(data, future=rows)
    plan(folder)
    pd.testing.assert_frame_equal(ahead, model.predict(future="plan.csv"))
    assert set(model.predict(data, fill_future="last")["source"].str.contains("filled last")) == {True}


def test_in_python_roles_are_keywords_and_covariates_columns(folder: Path) -> None:
    frame = forecast.read("shops.csv", known=["price"], past="promo")
    assert list(frame) == ["store", "date", "sales", "price", "promo"]
    assert frame["price"].tolist()[:3] == [5, 6, 7]
    again = forecast.read(frame.assign(promo=frame["promo"] == 1), known="price", past="promo")
    np.testing.assert_array_equal(again["promo"], frame["promo"])
    with pytest.raises(RequestError, match="covariates= takes the path of a file"):
        forecast.read(frame, covariates=frame)


def test_integer_times_know_ahead_as_dates_do(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.csv").write_text("t,y,x\n" + "".join(f"{k},{k % 5 if k < 60 else ''},{k % 3}\n" for k in range(64)))
    assert run("train", "d.csv", "-q", *FAST, "--time", "t", "--target", "y", "--known", "x").code == 0
    assert run("predict", "--horizon", "4", "-o", "-").code == 0
    assert run("predict", "--horizon", "5").code == 3


def test_the_script_in_the_handbook_runs_and_a_higher_price_is_another_forecast(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FORECAST_TRAIN_STEPS", "5")
    page = (Path(forecast.__file__).parent / "help" / "covariates.md").read_text()
    script = re.search(r"```python\n(.*?)```", page, flags=re.DOTALL).group(1)             # type: ignore[union-attr]
    exec(compile(script, "covariates.md", "exec"), {})
    printed = capsys.readouterr().out
    assert printed.count("2025-11-10") == 2
