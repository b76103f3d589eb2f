"""The report in a real browser: it draws, searches, zooms and pages, and asks the network for nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.test_cli import succeed
from tests.test_report import HOSTILE, table

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium to look at a page with")
NAMES = (*HOSTILE, *(f"shop {k}" for k in range(60)))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as engine:
        started = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    succeed("-C", folder, "report", table(folder / "data.csv", NAMES), "-q")
    return folder / "report.html"


@pytest.fixture
def page(browser: Any, report: Path) -> Iterator[Any]:
    """The report, open; nothing may have gone wrong, and nothing may have been asked for, when the test is done."""
    context = browser.new_context(viewport={"width": 1000, "height": 800})
    opened, wrong, asked = context.new_page(), [], []
    opened.on("console", lambda message: wrong.append(message.text))
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("dialog", lambda dialog: wrong.append(dialog.message))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(report.as_uri())
    yield opened
    context.close()
    assert (wrong, asked) == ([], [report.as_uri()])


def until(page: Any, met: Callable[[], bool]) -> None:
    """Wait for it. The page's policy lets nobody evaluate text in it again and again, as wait_for_function does."""
    for _ in range(200):
        if met():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it did not come about")


def drawn(page: Any) -> None:
    page.locator("#chart").scroll_into_view_if_needed()
    page.wait_for_selector("#chart canvas")


def test_only_the_chart_in_view_is_drawn_and_hovering_tells_what_lies_there(page: Any) -> None:
    assert page.locator("canvas").count() <= 1
    drawn(page)
    box = page.locator("#chart .u-over").bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 50)
    first = page.inner_text("#tell")
    page.mouse.move(box["x"] + box["width"] - 5, box["y"] + 50)
    assert first != page.inner_text("#tell")
    assert "not known yet; forecast" in page.inner_text("#tell")
    assert page.locator("canvas").count() == 1


def test_a_drag_zooms_a_button_shows_all_and_a_date_tells_what_happened(page: Any) -> None:
    drawn(page)
    page.click("#values summary")
    rows = page.locator("#values tbody tr")
    whole = rows.count()
    box = page.locator("#chart .u-over").bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 300, box["y"] + 60, steps=3)
    page.mouse.up()
    until(page, lambda: rows.count() < whole)
    page.click("[data-move=all]")
    until(page, lambda: rows.count() >= whole)
    page.fill("#date", "2026-02-10")
    assert page.inner_text("#tell").startswith("2026-02-10: ")
    page.fill("#date", "1999")
    assert "not in this chart" in page.inner_text("#tell")


def test_the_list_is_searched_and_paged_and_a_name_shows_its_chart(page: Any) -> None:
    rows = page.locator("table.list tbody tr")
    assert rows.count() == 50
    assert page.inner_text("#page") == "page 1 of 2"
    page.click("#next")
    assert rows.count() == len(NAMES) + 1 - 50                          # and all series added up
    page.fill("#search", "shop 5")
    assert rows.count() == 11                                           # shop 5, and shop 50 to shop 59
    page.select_option("#order", "beside")
    shares = [int(text.split("%")[0]) * (1 if "better" in text else -1) for text in
              page.locator("table.list tbody tr td:nth-child(3)").all_inner_texts()]
    assert shares == sorted(shares)
    assert len(set(shares)) > 1
    page.select_option("#order", "name")
    assert page.locator("table.list tbody button").first.inner_text() == "shop 5"
    page.click("table.list tbody button >> nth=1")
    assert page.inner_text("#name") == "shop 50"


def test_hostile_names_do_nothing(page: Any) -> None:
    drawn(page)
    title = page.title()
    for name in HOSTILE[:5]:
        page.fill("#search", name)
        page.click("table.list tbody button")
        assert page.inner_text("#name") == name
    assert page.title() == title
    assert page.locator("img").count() == 0


def test_without_scripts_tables_and_drawings_remain(browser: Any, report: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert page.locator(".still svg").count() == 5
    assert page.locator(".still svg").first.is_visible()
    assert page.locator("table.list tbody tr").count() == 50
    assert not page.locator("#chart").is_visible()
    context.close()


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_is_no_wider_than_its_screen(browser: Any, report: Path, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = context.new_page()
    page.goto(report.as_uri())
    drawn(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()
