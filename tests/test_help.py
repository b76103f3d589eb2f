"""forecast help: every topic can be read at a terminal of 80 columns, in a pipe and by a program."""

from __future__ import annotations

import json
import re
import tomllib
from importlib import resources
from pathlib import Path

import pytest

from forecast.cli.help import flags_of
from forecast.cli.pages import rendered
from forecast.tasks.help import TOPICS, page_of
from tests.test_cli import Run, run
from tests.test_console import at_a_terminal

__all__ = ["run"]


def plain(name: str, width: int = 80) -> str:
    return rendered(page_of(name).text, width=width, styled=False)


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.replace("&amp;", "&"))


def at_80_columns(*arguments: str, **environment: str) -> str:
    """What a terminal of 80 columns shows of a call."""
    return at_a_terminal(Path.cwd(), *arguments, COLUMNS="80", **environment)[0]


def test_the_topics_are_the_files_of_the_package() -> None:
    files = {file.name for file in resources.files("forecast").joinpath("help").iterdir()}
    assert files == {f"{name}.md" for name in TOPICS}
    setup = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["tool"]["setuptools"]
    files = ["help/*.md", "model/*.safetensors", "py.typed"]                        # else a wheel has none of them
    pages = ["reporting/*.html", "reporting/*.svg", "reporting/*.css", "reporting/*.js", "reporting/uplot.LICENSE"]
    assert sorted(setup["package-data"]["forecast"]) == sorted([*files, *pages])


def test_without_a_topic_all_are_listed_with_a_line_each(run: Run) -> None:
    ended = run("help")
    assert [line.split()[0] for line in ended.out.splitlines()] == list(TOPICS)
    assert [line.split(maxsplit=1)[1] for line in ended.out.splitlines()] == [page_of(t).summary for t in TOPICS]
    assert max(map(len, ended.out.splitlines())) < 80


@pytest.mark.parametrize("name", TOPICS)
def test_a_topic_begins_with_its_title_and_one_sentence(name: str) -> None:
    page = page_of(name)
    assert page.text.startswith(f"# {page.title}\n\n{page.summary}\n\n")
    assert re.fullmatch(r"[A-Z][^.]*\.", page.summary)


@pytest.mark.parametrize("name", TOPICS)
@pytest.mark.parametrize("width", [80, 100])
def test_a_topic_fits_the_width_and_loses_no_word(name: str, width: int) -> None:
    text = plain(name, width)
    assert [line for line in text.splitlines() if len(line) > width] == []
    assert "\x1b" not in text
    source = re.sub(r"\]\([^)]+\)|<!--.*?-->|^```\w*$|^\|[-|]+\|$|^\d+\. ", "", page_of(name).text, flags=re.MULTILINE)
    assert set(words(source)) <= set(words(text))                       # no cell of a table is cut or parted


def test_a_shell_line_is_shown_as_it_is_to_be_typed() -> None:
    for name in TOPICS:
        shown = plain(name).splitlines()
        for block in re.findall(r"^```\w*\n(.*?)^```", page_of(name).text, flags=re.DOTALL | re.MULTILINE):
            assert [line for line in block.splitlines() if line and f"  {line}" not in shown] == [], name


def test_in_a_pipe_a_topic_is_plain_text_folded_at_80_columns(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("PAGER", "false")                                # is not asked
    assert run("help", "cells").out == plain("cells")


def test_at_a_terminal_a_topic_goes_through_the_pager(tmp_path: Path) -> None:
    shown = at_80_columns("--no-color", "help", "store", PAGER=f"tee {tmp_path / 'paged'}")
    assert shown == (tmp_path / "paged").read_text() == plain("store")


def test_at_a_terminal_headings_are_bold_and_nothing_is_coloured() -> None:
    shown = at_80_columns("help", "store", PAGER="cat")
    assert set(re.findall(r"\x1b\[([\d;]*)m", shown)) <= {"0", "1", "2", "3", "4", "1;2", "1;3", "1;4", "2;3", "3;4"}
    assert "\x1b[1" in shown
    assert re.sub(r"\x1b\[[\d;]*m", "", shown).split() == plain("store").split()


@pytest.mark.parametrize("environment", [{"PAGER": "no-such-pager 2>/dev/null"}, {"TERM": "dumb", "PAGER": "false"}])
def test_where_there_is_no_pager_a_topic_is_shown_all_the_same(environment: dict[str, str]) -> None:
    assert at_80_columns("--no-color", "help", "store", **environment).endswith(plain("store"))


def test_a_topic_that_does_not_exist_is_refused_with_the_nearest_names(run: Run) -> None:
    ended = run("help", "modle")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "forecast: there is no topic 'modle'. Did you mean model?\n"
    assert run("help", "xyz").err.endswith(f"Topics: {', '.join(TOPICS)}\n")


def test_a_command_that_is_no_topic_is_refused_with_its_own_help(run: Run) -> None:
    assert run("help", "train").err == (
        "forecast: there is no topic 'train'. Its options: forecast train --help. Topics: forecast help\n")


def test_a_topic_is_found_however_its_name_is_written(run: Run) -> None:
    assert run("help", "Exit_Codes").out == run("help", "exit-codes").out != ""


def test_for_a_program_a_topic_is_its_name_title_and_text(run: Run) -> None:
    document = json.loads(run("help", "settings", "--json").out)
    page = page_of("settings", flags_of)
    assert document == {"name": "settings", "title": "Settings", "summary": page.summary, "text": page.text}
    assert "**train.lr**" in document["text"]
    listed = json.loads(run("help", "--json").out)["topics"]
    assert [topic["name"] for topic in listed] == list(TOPICS)


def test_quiet_help_says_nothing(run: Run) -> None:
    for call in (("help", "-q"), ("help", "store", "-q")):
        ended = run(*call)
        assert (ended.code, ended.out, ended.err) == (0, "", "")
