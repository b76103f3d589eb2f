"""Settings: defaults that pass their own checks, the order of their sources, and refusals that name what was found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.config import SETTINGS, Config, Setting, find_file, resolve
from forecast.errors import RequestError
from forecast.model.cells import CELLS

quick = settings(max_examples=50, deadline=None)


def each_setting(holds: Callable[[Setting], None]) -> Callable[[], None]:
    """One test of all settings, which names every one that fails it."""
    def run() -> None:
        failed = {}
        for setting in SETTINGS.values():
            try:
                holds(setting)
            except (AssertionError, RequestError, pytest.fail.Exception) as error:
                failed[setting.key] = str(error)
        assert failed == {}

    run.__name__, run.__doc__ = holds.__name__, holds.__doc__
    return run



def toml(folder: Path, text: str) -> Path:
    path = folder / "forecast.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(key: str, value: object) -> str:
    with pytest.raises(RequestError) as caught:
        Config().override({key: value}, source="here")
    assert caught.value.exit_code == 2
    return caught.value.problem.message


# The table

@each_setting
def test_every_setting_says_what_it_means(setting: Setting) -> None:
    assert len(setting.meaning) > 5
    assert setting.meaning[-1] not in ".,;"


@each_setting
def test_every_default_passes_its_own_check(setting: Setting) -> None:
    assert setting.check(setting.default, source="default") == setting.default


@each_setting
def test_bounds_are_taken_and_what_lies_beyond_is_not(setting: Setting) -> None:
    for bound, beyond in ((setting.low, -1), (setting.high, 1)):
        if bound is not None:
            value = setting.kind(bound)
            assert setting.check(value, source="x") == ((value,) if setting.is_tuple else value)
            with pytest.raises(RequestError, match=setting.key):
                setting.check(value + beyond, source="x")


@each_setting
def test_each_choice_is_taken_and_another_word_is_not(setting: Setting) -> None:
    for choice in setting.choices:
        assert setting.check(choice, source="x") == choice
    if setting.choices:
        with pytest.raises(RequestError, match=setting.choices[-1]):
            setting.check("banana", source="x")


@each_setting
def test_none_is_taken_only_where_it_is_the_default(setting: Setting) -> None:
    if setting.optional:
        assert setting.check(None, source="x") is None
    else:
        with pytest.raises(RequestError):
            setting.check(None, source="x")


# Reading one value

@pytest.mark.parametrize(("key", "text", "value"), [
    ("train.seed", "7", 7), ("train.lr", "1e-3", 0.001), ("train.lr", 1, 1.0), ("train.final_fit", "false", False),
    ("train.final_fit", "YES", True), ("train.final_fit", True, True), ("data.id", "store", "store"),
    ("model.season", "24,168", (24, 168)), ("model.season", 7, (7,)), ("model.season", [24, 168], (24, 168)),
    ("model.levels", "80, 97.5", (80.0, 97.5)), ("train.seed", 3.0, 3),
])
def test_a_value_is_read_by_the_type_of_its_setting(key: str, text: object, value: object) -> None:
    section, name = key.split(".")
    read = getattr(getattr(Config().override({key: text}, source="x"), section), name)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(("key", "value"), [
    ("train.seed", "1.5"), ("train.seed", 1.5), ("train.seed", True), ("train.seed", "one"), ("train.seed", "inf"),
    ("train.seed", float("nan")), ("train.lr", "nan"), ("train.lr", True), ("train.lr", "inf"), ("train.lr", ""),
    ("train.lr", 10**400),
    ("train.lr", {"a": 1}), ("train.final_fit", "maybe"), ("train.final_fit", 2), ("data.id", ""), ("data.id", 3),
    ("model.season", ""), ("model.season", []), ("model.season", "24,,168"), ("model.season", "0"),
    ("model.levels", "80,200"), ("data.fill", ["zero"]),
])
def test_what_is_not_of_the_type_is_refused_naming_source_setting_and_value(key: str, value: object) -> None:
    message = refusal(key, value)
    assert message.startswith("here: ")
    assert key in message
    assert repr(value) in message


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers(), max_size=3),
                 st.dictionaries(st.text(), st.integers(), max_size=2)))
@quick
def test_any_value_is_either_taken_for_good_or_refused(value: object) -> None:
    for setting in SETTINGS.values():
        try:
            taken = setting.check(value, source="x")
        except RequestError:
            continue
        assert setting.check(taken, source="x") == taken


def test_a_refusal_says_what_the_setting_takes() -> None:
    assert refusal("train.lr", "fast") == "here: train.lr takes a number from 1e-08 to 10, not 'fast'"
    assert refusal("model.season", "x") == (
        "here: model.season takes a whole number of 1 or more, or several by comma, not 'x'")
    assert refusal("model.cell", "tree") == (
        "here: model.cell takes one of lstm, gru, rnn, peephole, coupled, not 'tree'")


def test_an_unknown_setting_is_answered_with_the_closest_one() -> None:
    with pytest.raises(RequestError, match=r"unknown setting 'train.learning'|'train.lrr'") as caught:
        Config().override({"train.lrr": 1}, source="x")
    assert caught.value.problem.hint == "Did you mean 'train.lr'?"


def test_an_unknown_setting_like_no_other_is_answered_with_all_of_them() -> None:
    with pytest.raises(RequestError) as caught:
        Config().override({"zzz": 1}, source="x")
    assert all(key in str(caught.value.problem.hint) for key in SETTINGS)


# To a dictionary and back

def test_a_config_survives_json() -> None:
    config = Config().override({"model.season": "24,168", "train.lr": "0.01", "data.dayfirst": "no", "data.tz": "UTC",
                                "model.levels": "50"}, source="x")
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_a_dictionary_with_an_unknown_key_is_refused_naming_the_file() -> None:
    with pytest.raises(RequestError, match=r"config\.json: unknown setting 'train.speed'"):
        Config.from_dict({"train": {"speed": 1}})


def test_overriding_leaves_the_config_it_began_with() -> None:
    config = Config()
    assert config.override({"train.seed": 5}, source="x").train.seed == 5
    assert config == Config()


# Sources

def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(tmp_path: Path) -> None:
    file = toml(tmp_path, "[train]\nseed = 1\nbatch = 10\nsteps = 3\n[model]\nseason = [24, 168]\n")
    environment = {"FORECAST_TRAIN_SEED": "2", "FORECAST_TRAIN_BATCH": "20", "PATH": "/bin", "FORECAST_STORE": "here"}
    config = resolve({"train.seed": 3, "train.batch": None}, environment=environment, file=file)
    assert (config.train.seed, config.train.batch, config.train.steps) == (3, 20, 3)
    assert config.model.season == (24, 168)
    assert config.train.averaging == Config().train.averaging


def test_set_beats_the_environment() -> None:
    sets = ("train.seed = 4", "data.delimiter==")
    config = resolve({}, sets=sets, environment={"FORECAST_TRAIN_SEED": "2"}, file=None)
    assert config.train.seed == 4
    assert config.data.delimiter == "="


def test_settings_with_an_underscore_are_found_in_the_environment() -> None:
    environment = {"FORECAST_TRAIN_EPOCH_STEPS": "9", "FORECAST_DATA_BAD_ROWS": "quarantine"}
    config = resolve({}, environment=environment, file=None)
    assert (config.train.epoch_steps, config.data.bad_rows) == (9, "quarantine")


def test_no_two_settings_share_a_variable() -> None:
    assert len({key.replace(".", "_") for key in SETTINGS}) == len(SETTINGS)


@pytest.mark.parametrize(("sets", "environment", "said"), [
    (("train.lr",), {}, "--set train.lr: write it as section.name=value"),
    (("train.lr=x",), {}, "--set: train.lr takes"),
    ((), {"FORECAST_TRAIN_LR": "x"}, "environment: train.lr takes"),
])
def test_a_bad_value_is_refused_naming_where_it_came_from(sets: tuple[str, ...], environment: dict[str, str],
                                                          said: str) -> None:
    with pytest.raises(RequestError) as caught:
        resolve({}, sets=sets, environment=environment, file=None)
    assert caught.value.problem.message.startswith(said)


@pytest.mark.parametrize(("text", "said"), [
    ("[train\n", "is not TOML"), ("seed = 1\n", "'seed' stands outside a section"),
    ("[train]\nsed = 1\n", "unknown setting 'train.sed'"), ("[train]\nseed = 'x'\n", "train.seed takes"),
    ("[trains]\nseed = 1\n", "unknown setting 'trains.seed'"), ("[train.seed]\nx = 1\n", "train.seed takes"),
    ("x = " + "[" * 10_000, "is not TOML"),
])
def test_a_bad_file_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    file = toml(tmp_path, text)
    with pytest.raises(RequestError) as caught:
        resolve({}, environment={}, file=file)
    assert str(file) in str(caught.value)
    assert said in str(caught.value)


def test_a_file_of_no_known_encoding_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "forecast.toml"
    file.write_bytes(b"[data]\nid = '\xff\xfe'\n")
    with pytest.raises(RequestError, match="is not TOML"):
        resolve({}, environment={}, file=file)


def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"gone\.toml: cannot be read"):
        resolve({}, environment={}, file=tmp_path / "gone.toml")


def test_a_byte_order_mark_before_the_first_section_does_no_harm(tmp_path: Path) -> None:
    file = toml(tmp_path, "\ufeff[train]\nseed = 6\n")
    assert resolve({}, environment={}, file=file).train.seed == 6


def test_the_nearest_file_upward_is_found(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    far = toml(tmp_path, "")
    assert find_file(deep) == far
    near = toml(tmp_path / "a", "")
    assert find_file(deep) == near
    own = toml(deep, "")
    assert find_file(deep) == own


def test_a_misspelt_variable_of_ours_is_refused_and_those_of_others_are_not() -> None:
    with pytest.raises(RequestError, match="FORECAST_TRAIN_SED"):
        resolve({}, environment={"FORECAST_TRAIN_SED": "1"}, file=None)
    assert resolve({}, environment={"FORECAST_STORE": "/x", "TRAIN_SEED": "9"}, file=None) == Config()


def test_the_cells_that_can_be_asked_for_are_those_that_there_are() -> None:
    assert set(SETTINGS["model.cell"].choices) == set(CELLS)


def test_a_preset_is_a_set_of_other_defaults_below_all_that_is_given(tmp_path: Path) -> None:
    (tmp_path / "forecast.toml").write_text("[train]\neffort = 3.0\n")
    plain = resolve({}, environment={}, file=None)
    best = resolve({"train.preset": "best"}, environment={}, file=None)
    assert best.model.members > plain.model.members
    assert best.train.effort > plain.train.effort
    mixed = resolve({"train.preset": "best"}, environment={}, file=tmp_path / "forecast.toml")
    assert (mixed.model.members, mixed.train.effort) == (best.model.members, 3.0)
    assert resolve({}, sets=("train.preset=quick",), environment={}, file=None).model.members == 1


@pytest.mark.parametrize(("text", "seconds"), [("10m", 600), ("1h30m", 5400), ("45", 45), (12.5, 12.5)])
def test_a_time_is_read_as_people_write_it(text: object, seconds: float) -> None:
    assert Config().override({"train.time_limit": text}, source="test").train.time_limit == seconds
