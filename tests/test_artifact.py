"""The model folder: read back to the bit, and refused by the name of the file in which one byte is wrong."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import forecast
from forecast.config import Config
from forecast.errors import DiskError, ModelError
from forecast.model.blending import Blend
from forecast.model.knowledge import Knowledge
from forecast.model.member import Member
from forecast.model.network import Network
from forecast.model.predictor import Predictor
from forecast.reading.contract import Contract
from forecast.series.arrays import Floats
from forecast.series.calendar import Calendar
from forecast.series.panel import Panel
from forecast.series.units import Units
from forecast.series.windows import ends_of
from forecast.store import run
from forecast.store.record import DataRecord, RunRecord, Verdict
from forecast.store.run import FILES, FORMAT, MANIFEST, WEIGHTS, load, save
from forecast.system import files
from tests.conftest import altered, quick, shaken, shops

MONTHS = Calendar.of("MS")
PANEL = Panel.of([np.arange(60.0) % 12 + 5, 100 + np.arange(48.0) ** 1.5], MONTHS, ids=["007", "ü,\udce9"],
                 start=[0, 12])
CONTRACT = Contract(id="shop", time="month", targets=("sales",), layout="long", decimals=1, calendar=MONTHS,
                    ids=("007", "ü"), low=0.0, high=None)
RECORD = RunRecord(name="a", created="2026-09-19T04:15:12Z", seconds=1.5, versions={"numpy": "2"}, origin="before",
                   promotion=Verdict(True, "the first"), data=DataRecord(rows=9, notes=("a note",)))
each_file = pytest.mark.parametrize("name", [*FILES, MANIFEST])
each_scaling = pytest.mark.parametrize("scaling", ["window", "standard"])


def tiny(scaling: str = "window", cell: str = "lstm", layers: int = 1) -> Predictor:
    """Untrained, but with no weight, width or scale that a fresh one also has."""
    config = Config().override({"model.horizon": 3, "model.hidden": 4, "model.scaling": scaling, "model.cell": cell,
                                "model.layers": layers, "model.season": "12"}, source="test")
    predictor = Predictor.new(config, PANEL)
    units = Units.of("log", scaling, 12, PANEL)
    member = Member(shaken(predictor.members[0].network), units, penalty=0.1, steps=7, schedule=9)
    other = Member(shaken(predictor.members[0].network, seed=2), Units.of("none", scaling, 12, PANEL), skip=False,
                   seed=3, steps=5, schedule=5, diverged=True)
    widths = predictor.widths * np.linspace(0.7, 1.9, predictor.widths.size).reshape(predictor.widths.shape)
    knowledge = Knowledge.of(PANEL)
    return replace(predictor, members=(member, other), widths=widths, knowledge=knowledge,
                   validated_knowledge=knowledge.later(-9),
                   validated_networks=tuple(shaken(m.network, seed=7) for m in (member, other)))


def forecast_of(predictor: Predictor) -> Floats:
    return predictor.predict(PANEL, 5).values


def saved(folder: Path, predictor: Predictor | None = None) -> Path:
    save(folder, predictor or tiny(), CONTRACT, record=RECORD, metrics={"mase": 0.9, "loss": float("nan")},
         history="epoch,loss\n0,1\n")
    return folder


def resealed(folder: Path) -> Path:
    """Sizes and sums of the manifest made to fit the files as they are now."""
    manifest = json.loads((folder / MANIFEST).read_text())
    for name in manifest["files"]:
        content = (folder / name).read_bytes()
        manifest["files"][name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


def changed(folder: Path, name: str, change: Callable[[Any], object]) -> Path:
    content = json.loads((folder / name).read_text())
    change(content)
    (folder / name).write_text(json.dumps(content))
    return folder if name == MANIFEST else resealed(folder)


def refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load(folder)
    assert caught.value.exit_code == 4
    return str(caught.value)


# There and back

@each_scaling
@pytest.mark.parametrize(("cell", "layers"), [("lstm", 1), ("gru", 2), ("rnn", 1), ("peephole", 2), ("coupled", 1)])
def test_what_is_loaded_predicts_the_same_to_the_bit(tmp_path: Path, scaling: str, cell: str, layers: int) -> None:
    predictor = tiny(scaling, cell, layers)
    run = load(saved(tmp_path / "run", predictor))
    np.testing.assert_array_equal(forecast_of(run.predictor), forecast_of(predictor))
    assert run.predictor.name == predictor.name == cell


def test_the_networks_before_the_final_fit_are_read_where_they_are_asked_for(tmp_path: Path) -> None:
    predictor, folder = tiny(), saved(tmp_path / "run")
    assert load(folder).predictor.validated_networks == ()
    loaded = load(folder, validated=True).predictor
    assert loaded.validated_knowledge == predictor.validated_knowledge
    for one, two in zip(predictor.validated_networks, loaded.validated_networks, strict=True):
        assert one.tensors.keys() == two.tensors.keys()
        for name, tensor in one.tensors.items():
            np.testing.assert_array_equal(tensor, two.tensors[name])


def test_everything_is_read_back(tmp_path: Path) -> None:
    predictor = tiny("robust")
    run = load(saved(tmp_path / "20260919T041512Z-lstm-7f3a", predictor))
    assert run.id == "20260919T041512Z-lstm-7f3a"
    assert run.contract == CONTRACT
    assert (run.record, run.metrics) == (RECORD, {"mase": 0.9, "loss": None})
    for name in ("config", "plan", "transform", "knowledge", "quantiles"):
        assert getattr(run.predictor, name) == getattr(predictor, name), name
    np.testing.assert_array_equal(run.predictor.widths, predictor.widths)
    assert len(run.predictor.members) == 2
    for read, written in zip(run.predictor.members, predictor.members, strict=True):
        for name in ("skip", "seed", "penalty", "steps", "schedule", "diverged"):
            assert getattr(read, name) == getattr(written, name), name
        assert (read.units.transform, read.units.places) == (written.units.transform, written.units.places)
        for name in ("loc", "scale"):
            np.testing.assert_array_equal(getattr(read.units, name), getattr(written.units, name))
        assert read.network.shape == written.network.shape
        for name, weight in read.network.tensors.items():
            np.testing.assert_array_equal(weight, written.network.tensors[name])


def test_an_infinite_penalty_is_read_back(tmp_path: Path) -> None:
    predictor = altered(tiny(), penalty=float("inf"))
    assert load(saved(tmp_path / "run", predictor)).predictor.members[0].penalty == float("inf")


def test_saving_changes_nothing_and_the_same_predictor_gives_the_same_bytes(tmp_path: Path) -> None:
    predictor = tiny()
    before = forecast_of(predictor)
    first, second = saved(tmp_path / "a", predictor), saved(tmp_path / "b", predictor)
    np.testing.assert_array_equal(forecast_of(predictor), before)
    assert sorted(p.name for p in first.iterdir()) == sorted([*FILES, MANIFEST])
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()


def test_saving_twice_leaves_the_first_and_no_debris(tmp_path: Path) -> None:
    folder = saved(tmp_path / "run")
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    other = replace(tiny(), usual_step=99.0)
    with pytest.raises(DiskError):
        saved(folder, other)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("calls", range(0, 40, 3))
def test_a_disk_that_fails_at_any_moment_leaves_nothing_or_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                                   calls: int) -> None:
    left = iter(range(calls))
    fsync = os.fsync

    def full(descriptor: int) -> None:
        if next(left, None) is None:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(files.os, "fsync", full)
    try:
        saved(tmp_path / "run")
    except DiskError:
        assert not list(tmp_path.glob("*.partial"))
    monkeypatch.undo()
    if (tmp_path / "run").exists():
        load(tmp_path / "run")


def test_series_json_can_be_read_with_cat(tmp_path: Path) -> None:
    assert json.loads((saved(tmp_path / "run") / "series.json").read_text())["ids"] == PANEL.ids.tolist()


# Refusals

@each_file
def test_a_file_that_is_missing_cut_or_changed_is_named(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path / "run") / name
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[len(flipped) // 2] ^= 1
    for broken in (content[:-2], content[:len(content) // 2], b"", bytes(flipped), content + b"}"):
        path.write_bytes(broken)
        assert str(path) in refusal(path.parent) or name == MANIFEST    # a changed sum is laid to the file it is of
    path.unlink()
    assert f"{path}: is missing" in refusal(path.parent)


@each_file
def test_a_link_is_not_followed(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path / "run") / name
    target = tmp_path / "elsewhere"
    path.rename(target)
    path.symlink_to(target)
    assert f"{path}: is missing" in refusal(path.parent)


@each_file
def test_a_pipe_is_not_waited_for(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path / "run") / name
    path.unlink()
    os.mkfifo(path)
    assert f"{path}: is missing" in refusal(path.parent)


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = saved(tmp_path / "run")

    def denied(path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(run, "sha256", denied)
    assert f"{folder / FILES[0]}: cannot be read" in refusal(folder)


def test_a_json_file_far_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = saved(tmp_path / "run")
    monkeypatch.setattr(run, "MOST_TEXT", 10)
    assert f"{folder / MANIFEST}: is far too large" in refusal(folder)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    assert "is not a model folder" in refusal(tmp_path / "no")
    assert "manifest.json: is missing" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "extra.py"])
def test_a_manifest_that_names_other_files_is_refused(tmp_path: Path, name: str) -> None:
    folder = changed(saved(tmp_path / "run"), MANIFEST, lambda m: m["files"].update({name: m["files"]["run.json"]}))
    assert "does not name the files of a model" in refusal(folder)
    replaced = changed(saved(tmp_path / "other"), MANIFEST,
                       lambda m: m["files"].update({name: m["files"].pop("run.json")}))
    assert "does not name the files of a model" in refusal(replaced)


@pytest.mark.parametrize("text", ["[]", "{}", "null", '{"files": []}', '{"files": 3}', "[" * 100_000, "\ufeff{}", "{"])
def test_a_manifest_that_says_nothing_is_refused(tmp_path: Path, text: str) -> None:
    folder = saved(tmp_path / "run")
    (folder / MANIFEST).write_text(text)
    assert str(folder / MANIFEST) in refusal(folder)


@pytest.mark.parametrize(("name", "change"), [
    ("config.json", lambda c: c["config"]["train"].update(speed=1)),
    ("config.json", lambda c: c["config"].update(more={"x": 1})),
    ("config.json", lambda c: c["config"]["model"].update(cell="os.system")),
    ("config.json", lambda c: c["config"].update(train=[1])),
    ("config.json", lambda c: c["plan"].update(size=1)),
    ("config.json", lambda c: c["plan"].update(hidden="4")),
    ("config.json", lambda c: c["plan"].update(hidden=-4)),
    ("config.json", lambda c: c["members"][0]["shape"].update(hidden=10**9)),
    ("config.json", lambda c: c["plan"].update(horizon=2)),
    ("config.json", lambda c: c["plan"].update(seasons=5)),
    ("config.json", lambda c: c.pop("plan")),
    ("config.json", lambda c: c["plan"].update(seasons=[])),
    ("config.json", lambda c: c["plan"].update(seasons=[-12])),
    ("config.json", lambda c: c["plan"].update(min_context=1.5)),
    ("config.json", lambda c: c["plan"].update(min_context="x")),
    ("config.json", lambda c: c["members"][0].update(steps="x")),
    ("config.json", lambda c: c["members"][1].update(seed=-1)),
    ("config.json", lambda c: c["config"]["model"].update(scaling="standard")),
    ("run.json", lambda c: c.pop("created")),
    ("run.json", lambda c: c.pop("data")),
    ("series.json", lambda c: c["ids"].__setitem__(0, 1)),
    ("calibration.json", lambda c: c["widths"][0].__setitem__(0, -1)),
    ("calibration.json", lambda c: c["blend"].update(names=["os.system"])),
    ("calibration.json", lambda c: c["blend"].update(pooled=[2.0])),
    ("config.json", lambda c: c["members"][0].update(penalty="strong")),
    ("config.json", lambda c: c["members"][0].update(penalty=10**400)),
    ("config.json", lambda c: c["members"][0].update(transform="eval")),
    ("series.json", lambda c: c["ids"].pop()),
    ("series.json", lambda c: c["scales"]["log"].update(loc="x")),
    ("config.json", lambda c: c["members"].pop()),
    ("config.json", lambda c: c.update(members=[])),
    ("calibration.json", lambda c: c["widths"].pop()),
    ("calibration.json", lambda c: c["widths"][0].__setitem__(0, None)),
    ("calibration.json", lambda c: c.pop("widths")),
    ("contract.json", lambda c: c.update(owner="me")),
    ("contract.json", lambda c: c.pop("calendar")),
    ("contract.json", lambda c: c["calendar"].update(moon=1)),
])
def test_a_folder_that_fits_its_manifest_but_describes_no_model_is_refused(tmp_path: Path, name: str,
                                                                           change: Callable[[Any], object]) -> None:
    assert str(tmp_path / "run") in refusal(changed(saved(tmp_path / "run"), name, change))


def test_a_run_that_reads_covariates_predicts_the_same_to_the_bit(tmp_path: Path) -> None:
    panel = shops()
    fresh = Predictor.new(quick(), panel)
    plain = Predictor.new(quick(), replace(panel, beside=None, row=None))
    members = tuple(replace(m, network=shaken(m.network), steps=1) for m in (*fresh.members, *plain.members))
    blend = Blend(("network.0", "linear.0", "network.1"), (0.5, 0.25, 0.25), (1.0, 1.0, 1.0), {})
    predictor = replace(fresh, members=members, blend=blend, without=Blend.alone("network.1"),
                        validated_networks=tuple(m.network for m in members))
    folder = saved(tmp_path / "run", predictor)
    read = load(folder).predictor
    np.testing.assert_array_equal(read.predict(panel, 4).values, predictor.predict(panel, 4).values)
    assert read.without == predictor.without
    for change in (lambda c: c["covariates"]["none"]["columns"].pop(), lambda c: c.pop("covariates"),
                   lambda c: c["covariates"]["none"]["scale"][0].__setitem__(1, 0.0),
                   lambda c: c["covariates"]["none"]["columns"][0].update(role="static")):
        spoilt = changed(saved(tmp_path / "bad", predictor), "series.json", change)
        assert "does not describe a model" in refusal(spoilt)
        shutil.rmtree(tmp_path / "bad")


def test_a_newer_format_is_named(tmp_path: Path) -> None:
    folder = changed(saved(tmp_path / "run"), MANIFEST, lambda c: c.update(format=FORMAT + 1))
    assert f"was written in format {FORMAT + 1}, this program reads 4, 5, 6 and 7. Train again" in refusal(folder)


def test_a_run_of_format_4_whose_members_bear_no_shape_predicts_what_it_did() -> None:
    """tests/runs/format4 was made by the program that wrote this format: three networks of 30 steps, two units each."""
    predictor = load(Path(__file__).parent / "runs/format4", validated=True).predictor
    assert [(m.steps, m.units.transform, m.skip) for m in predictor.members] == [
        (0, "none", True), (30, "none", False), (0, "log", True)]
    panel = Panel.of([np.arange(30.0) % 6 + 10, 50 - np.arange(20.0) % 6], Calendar.of("step"), ids=["s0", "new"])
    medians = {"network.0": [[13.380027368, 11.703456551], [48.322728937, 46.872154396]],
               "network.1": [[22.369996052, 22.477879799], [48.158755093, 48.233959914]],
               "network.2": [[13.041781129, 11.524281308], [47.810722216, 46.916903719]],
               "linear.1": [[22.605, 22.605], [47.7, 47.7]]}
    said, _ = predictor.parts(panel, list(medians))
    for name, values in medians.items():
        np.testing.assert_allclose(said[name][:, :, 1], values, rtol=1e-9, err_msg=name)
    assert predictor.predict(panel, 3).values[:, :, 1].tolist() == [[10, 11, 12], [48, 47, 46]]


def test_a_run_of_format_5_which_knew_a_flat_head_alone_predicts_the_same_to_the_bit(tmp_path: Path) -> None:
    predictor = tiny(cell="gru")
    shapes = [replace(m.shape, head="flat", embedding=False, tuned=False, attention=True) for m in predictor.members]
    networks = [shaken(Network.blank(shape), seed=k) for k, shape in enumerate(shapes)]
    members = tuple(replace(m, network=n) for m, n in zip(predictor.members, networks, strict=True))
    config = predictor.config.override({"model.head": "flat", "model.embedding": False, "model.tune_skip": False,
                                        "model.attention": True}, source="test")
    predictor = replace(predictor, members=members, config=config, validated_networks=tuple(networks))

    def older(content: Any) -> None:
        for name in ("head", "embedding", "tune_skip"):
            del content["config"]["model"][name]
        for member in content["members"]:
            for name in ("channels", "head", "embedding", "tuned"):
                del member["shape"][name]

    folder = changed(saved(tmp_path / "run", predictor), "config.json", older)
    def earlier(content: Any) -> None:
        content["format"] = 5
        del content["files"]["prior.safetensors"]

    loaded = load(changed(folder, MANIFEST, earlier), validated=True).predictor
    assert loaded.prior is None
    np.testing.assert_array_equal(forecast_of(loaded), forecast_of(predictor))
    assert loaded.config == config
    assert [m.shape for m in loaded.members] == shapes


def test_members_of_different_shapes_are_read_back_each_with_its_own(tmp_path: Path) -> None:
    predictor = tiny()
    first, second = predictor.members
    shape = replace(second.shape, cell="gru", context=24, segment=6, hidden=3, layers=2)
    other = replace(second, network=shaken(Network.blank(shape), seed=5))
    predictor = replace(predictor, members=(first, other), validated_networks=(first.network, other.network),
                        blend=Blend(("network.0", "network.1"), (0.5, 0.5), (), {}))
    loaded = load(saved(tmp_path / "run", predictor), validated=True).predictor
    assert [m.shape for m in loaded.members] == [first.shape, shape]
    np.testing.assert_array_equal(forecast_of(loaded), forecast_of(predictor))
    alone, _ = predictor.parts(PANEL, ["network.1"])
    seen = other.batch(PANEL, ends_of(PANEL))
    assert seen.context.shape == (2, 24)
    np.testing.assert_allclose(alone["network.1"], other.units.restored(other.network.forward(seen), seen))


@pytest.mark.parametrize("sizes", [{"context": 7}, {"hidden": 0}, {"hidden": 3.5}, {"cell": "lstn"}, {"horizon": 2},
                                   {"quantiles": [0.5]}, {"bidirectional": 1}, {"wings": 2}])
def test_a_member_of_an_impossible_shape_is_refused(tmp_path: Path, sizes: dict[str, Any]) -> None:
    folder = changed(saved(tmp_path / "run"), "config.json", lambda c: c["members"][1]["shape"].update(sizes))
    assert "does not describe a model" in refusal(folder)


def weights(folder: Path, change: Callable[[dict[str, Floats]], object]) -> Path:
    tensors = safetensors.numpy.load((folder / WEIGHTS).read_bytes())
    change(tensors)
    (folder / WEIGHTS).write_bytes(safetensors.numpy.save(tensors))
    return resealed(folder)


@pytest.mark.parametrize(("change", "said"), [
    (lambda t: t.update({"0.skip": t["0.skip"][:-1].copy()}), "does not fit its config.json"),
    (lambda t: t.update(more=t["0.skip"].copy()), "does not fit its config.json"),
    (lambda t: t.pop("1.offset"), "does not fit its config.json"),
    (lambda t: t.update({"0.skip": t["0.skip"].astype(np.float64)}), "does not fit its config.json"),
    (lambda t: t["0.skip"].fill(np.nan), "holds values that are not finite"),
    (lambda t: t["0.offset"].fill(np.inf), "holds values that are not finite"),
])
def test_weights_of_another_model_or_of_none_are_refused(tmp_path: Path,
                                                         change: Callable[[dict[str, Floats]], object],
                                                         said: str) -> None:
    folder = weights(saved(tmp_path / "run"), change)
    assert f"{folder / WEIGHTS}: {said}" in refusal(folder)


def test_weights_that_are_no_safetensors_are_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "run")
    (folder / WEIGHTS).write_bytes(b"\x80\x04cposix\nsystem\n")
    assert f"{folder / WEIGHTS}: is not a file of weights" in refusal(resealed(folder))


# No code in data

def test_nothing_in_the_package_can_run_code_from_a_file() -> None:
    modules = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml", "runpy"}
    calls = {"eval", "exec", "compile", "__import__"}
    methods = {("torch", "load"), ("torch", "save"), ("np", "load"), ("pd", "read_pickle")}
    for path in Path(forecast.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert not {a.name.split(".")[0] for a in node.names} & modules, path
            if isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] not in modules, path
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in calls, path
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert (node.value.id, node.attr) not in methods, path
                assert node.attr != "import_module" or path.name == "report.py", path
