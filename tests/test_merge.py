"""Shards put together are the file of one process, byte for byte; what is not the whole of one forecast is refused."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import pytest

from tests.test_cli import Run, run

__all__ = ["run"]
NAMES = [*"abcdefghijklmnop", 'a, "quoted" one', "=1+1"]                # the last two in the last shards


def write_data(path: Path, *, add: float = 0.0, names: list[str] = NAMES) -> None:
    cells = ['"' + name.replace('"', '""') + '"' for name in names]
    lines = [f"{cell},{t},{9 * s + t % 6 + 1 / (s + t + 1) + add:.3f}" for s, cell in enumerate(cells)
             for t in range(2 if s == 5 else 40)]
    path.write_text("id,ds,y\n" + "\n".join([*lines, "empty,3,"]) + "\n")


def write_shards(run: Run, ending: str, parts: int = 7, *ways: object) -> list[str]:
    """One machine each: a store and a name of its own."""
    names = [f"part{k}{ending}" for k in range(1, parts + 1)]
    for k, name in enumerate(names, start=1):
        assert run("--store", f"store{k}", "predict", "data.csv", "--model", "prior", "--horizon", 4, *ways,
                   "--shard", f"{k}/{parts}", "-o", name).code in (0, 5)
    return names


@pytest.mark.parametrize(("ending", "ways"), [
    (".csv", ()), (".csv", ("--layout", "long", "--nonnegative")), (".csv.gz", ()), (".parquet", ()), (".json", ())])
def test_seven_shards_are_the_bytes_of_one_process(run: Run, tmp_path: Path, ending: str, ways: tuple[str, ...]
                                                   ) -> None:
    write_data(tmp_path / "data.csv")
    whole = run("predict", "data.csv", "--model", "prior", "--horizon", 4, *ways, "-o", f"whole{ending}")
    names = write_shards(run, ending, 7, *ways)
    before = {name: (tmp_path / name).read_bytes() for name in names}
    merged = run("merge", *reversed(names), "-o", f"merged{ending}")
    assert (tmp_path / f"merged{ending}").read_bytes() == (tmp_path / f"whole{ending}").read_bytes()
    assert (merged.code, whole.code) == (5, 5)                          # two series without a forecast of their own
    assert "18 series from 7 shards" in merged.err
    assert {name: (tmp_path / name).read_bytes() for name in names} == before


def test_the_data_and_the_store_are_never_written_over(run: Run, tmp_path: Path) -> None:
    write_data(tmp_path / "data.csv")
    names, before = write_shards(run, ".csv", 2), (tmp_path / "data.csv").read_bytes()
    for output in ("data.csv", "part1.csv", ".forecast/runs/x.csv", ".forecast/live.csv"):
        (tmp_path / ".forecast/runs").mkdir(parents=True, exist_ok=True)
        ended = run("merge", *names, "-o", output)
        assert (ended.code, ended.out) == (2, ""), output
    assert (tmp_path / "data.csv").read_bytes() == before
    assert not list((tmp_path / ".forecast/runs").iterdir())


@pytest.mark.parametrize("output", ["out/", "part.xlsx"])
def test_what_could_not_be_put_together_takes_no_shard(run: Run, tmp_path: Path, output: str) -> None:
    write_data(tmp_path / "data.csv")
    ended = run("predict", "data.csv", "--model", "prior", "--horizon", 4, "--shard", "1/2", "-o", output)
    assert ended.code == 2
    assert "cannot hold a part of a forecast" in ended.err
    assert not (tmp_path / output).exists()


def test_parquet_keeps_the_row_groups_of_one_process(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    from forecast.writing.merging import merge

    table = pa.table({"id": [f"s{k // 3}" for k in range(60)], "y": [k / 7 for k in range(60)]})
    for name, cuts, rows in (("whole", [0, 24, 48, 60], 60), ("a", [0, 9, 15], 15), ("b", [15, 15], 0),
                             ("c", [15, 60], 45)):
        with pyarrow.parquet.ParquetWriter(tmp_path / f"{name}.parquet", table.schema) as writer:
            for begin, end in itertools.pairwise(cuts):
                writer.write_table(table.slice(begin, end - begin).combine_chunks())
        assert pyarrow.parquet.read_metadata(tmp_path / f"{name}.parquet").num_rows == rows
    merge([tmp_path / f"{name}.parquet" for name in "abc"], tmp_path / "merged.parquet", rows_at_once=24)
    assert (tmp_path / "merged.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_a_shard_without_a_series_is_one_too(run: Run, tmp_path: Path) -> None:
    write_data(tmp_path / "data.csv", names=["a", "b"])
    run("predict", "data.csv", "--model", "prior", "--horizon", 4, "-o", "whole.csv")
    assert run("merge", *write_shards(run, ".csv", 5), "-o", "merged.csv").code == 5
    assert (tmp_path / "merged.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three shards of one forecast."""
    from forecast.ledger.options import Options
    from forecast.tasks import predict
    from forecast.tasks.workspace import Workspace

    folder = tmp_path_factory.mktemp("three")
    write_data(folder / "data.csv")
    for k in (1, 2, 3):
        predict.predict(Workspace.at(folder), predict.Request(
            "data.csv", model="prior", horizon=4, output=f"part{k}.csv", options=Options(shard=f"{k}/3")))
    return folder


@pytest.fixture
def shards(three: Path, tmp_path: Path) -> Path:
    shutil.copytree(three, tmp_path, dirs_exist_ok=True)
    (tmp_path / "all.csv").write_text("what stood before\n")
    return tmp_path


def refused(run: Run, folder: Path, *files: str, output: str = "all.csv") -> str:
    ended = run("merge", *files, "-o", output)
    assert ended.code in (2, 3)
    assert (folder / "all.csv").read_text() == "what stood before\n"
    return ended.err


def test_shards_that_are_missing_are_named(run: Run, shards: Path) -> None:
    said = refused(run, shards, "part2.csv")
    assert "2 of 3 shards are missing: 1/3, 3/3. Make it with --shard 1/3" in said
    assert "1 of 3 shards is missing: 2/3" in refused(run, shards, "part3.csv", "part1.csv")


def test_shards_that_overlap_are_named(run: Run, shards: Path) -> None:
    for suffix in ("", ".shard.json"):
        shutil.copy(shards / f"part2.csv{suffix}", shards / f"again.csv{suffix}")
    said = refused(run, shards, "part1.csv", "part2.csv", "again.csv", "part3.csv")
    assert "again.csv: is shard 2/3, and so is part2.csv" in said
    assert "part1.csv: is shard 1/3, and so is part1.csv" in refused(run, shards, "part1.csv", "part1.csv")


@pytest.mark.parametrize(("ways", "words"), [
    (("--horizon", 5), "differs from part1.csv in its horizon: 5, not 4"),
    (("--horizon", 4, "--levels", "80"), "differs from part1.csv in its bands: [80.0], not [80.0, 95.0]"),
    (("--horizon", 4, "--round"), "differs from part1.csv in its options: round"),
    (("--horizon", 4, "--as-of", "30"), "differs from part1.csv in its state of the data"),
    (("--horizon", 4, "--shard", "2/4"), "is one of 4 shards, and part1.csv is one of 3")])
def test_a_shard_of_another_request_is_refused(run: Run, shards: Path, ways: tuple[object, ...], words: str) -> None:
    shard = () if "--shard" in ways else ("--shard", "2/3")
    assert run("predict", "data.csv", "--model", "prior", *ways, *shard, "-o", "part2.csv").code in (0, 5)
    assert f"part2.csv: {words}" in refused(run, shards, "part1.csv", "part2.csv", "part3.csv")


def test_a_shard_of_other_data_or_of_another_model_is_refused(run: Run, shards: Path) -> None:
    write_data(shards / "data.csv", add=0.5)
    ways = ("--horizon", 4, "--shard", "3/3", "-o", "part3.csv")
    run("predict", "data.csv", "--model", "prior", *ways)
    assert "part3.csv: differs from part1.csv in its state of the data. Make all" in refused(
        run, shards, "part1.csv", "part2.csv", "part3.csv")
    write_data(shards / "data.csv")
    lean = ("--set", "train.steps=5", "--hidden", 4, "--set", "model.members=1", "--set", "model.blend=false")
    assert run("train", "data.csv", "--horizon", 4, *lean).code == 0
    run("predict", *ways)
    assert "part3.csv: differs from part1.csv in its model: 2" in refused(
        run, shards, "part1.csv", "part2.csv", "part3.csv")


def test_what_is_no_shard_or_was_changed_is_refused(run: Run, shards: Path) -> None:
    parts = ("part1.csv", "part2.csv", "part3.csv")
    run("predict", "data.csv", "--model", "prior", "--horizon", 4, "-o", "whole.csv")
    assert "whole.csv: is no shard: there is no whole.csv.shard.json beside it" in refused(run, shards, "whole.csv")
    assert "nothing.csv: there is no such file" in refused(run, shards, "nothing.csv")
    with (shards / "part2.csv").open("a") as file:
        file.write("one more\n")
    assert "part2.csv: is not what part2.csv.shard.json speaks of" in refused(run, shards, *parts)
    for broken in ("", "[]", '{"shard": "1"}', '{"shard": 3}', "{" * 99):
        (shards / "part2.csv.shard.json").write_text(broken)
        assert "part2.csv.shard.json: does not say what the shard is" in refused(run, shards, *parts)


def test_kinds_that_are_not_merged_are_refused_and_no_shard_is_written_over(run: Run, shards: Path) -> None:
    parts = ("part1.csv", "part2.csv", "part3.csv")
    assert "Write them as one of .csv.gz .csv .parquet .json" in refused(run, shards, *parts, output="all.xlsx")
    assert "part1.csv: is no .parquet, as all.parquet is to be" in refused(run, shards, *parts, output="all.parquet")
    before = (shards / "part1.csv").read_bytes()
    assert "would be written over a file" in refused(run, shards, *parts, output="part1.csv")
    assert (shards / "part1.csv").read_bytes() == before


def test_totals_of_shards_are_no_shards_of_totals(run: Run, shards: Path) -> None:
    run("predict", "data.csv", "--model", "prior", "--horizon", 4, "--sum", "all", "--shard", "1/1", "-o", "sums.csv")
    assert not (shards / "sums.csv.shard.json").exists()
    assert "is no shard" in refused(run, shards, "sums.csv")


def test_for_a_program_the_merge_is_one_document(run: Run, shards: Path) -> None:
    document = json.loads(run("merge", "part1.csv", "part3.csv", "part2.csv", "-o", "all.csv", "--json").out)
    assert document["shards"] == ["part1.csv", "part2.csv", "part3.csv"]
    assert (document["rows"], document["series"], document["fell_back"]) == (72, 18, 2)
