# SPDX-License-Identifier: Apache-2.0
"""The report in a browser, as a reader meets it."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import sync_playwright

from dirql.report.html.page import write_report
from tests.unit.report.html.runs import (
    FILE,
    HOSTILE,
    LINES,
    TEXTS,
    empty_run,
    faulty_run,
    good_run,
    write_run,
    write_source,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

BROWSER = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
WIDE = {"width": 1280, "height": 800}
BARS = ((0xD9, 0xE6, 0xEE), (0x2F, 0x48, 0x58))
"""Of PASSIVE_LEVEL, in the light and in the dark."""
MARK_LIGHT = (0xC1, 0x12, 0x1F)
READABLE = 4.5
"""WCAG 2, level AA: contrast of text."""

ViewRange = tuple[float, float]


class Reports(NamedTuple):
    """Where the reports are."""

    bad: Path
    good: Path
    unknown: Path


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Reports:
    folder = tmp_path_factory.mktemp("reports")
    write_source(folder / "sources")
    made = []
    for name, run, lost in (("bad", faulty_run(), ()), ("good", good_run(), ()), ("unknown", empty_run(), (0, 7))):
        place = folder / name
        place.mkdir()
        meta = {"lost": lost} if lost else {}
        made.append(write_report(write_run(place, run, **meta), sources=[folder / "sources"]))
    return Reports(*made)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=ARGUMENTS)
        yield browser
        browser.close()


class Watched(NamedTuple):
    """A page, and what it should not have done."""

    page: Page
    complaints: list[str]
    requests: list[str]


def show(browser: Browser, path: Path, **options: Any) -> Watched:  # noqa: ANN401 (Playwright's own)
    page = browser.new_page(**{"viewport": WIDE, "color_scheme": "light", **options})
    watched = Watched(page, [], [])
    page.on("console", lambda message: watched.complaints.append(message.text))
    page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    page.on("request", lambda request: watched.requests.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready=true]")
    return watched


@pytest.fixture(scope="module")
def bad(browser: Browser, reports: Reports) -> Iterator[Watched]:
    watched = show(browser, reports.bad)
    yield watched
    watched.page.close()


@pytest.fixture
def page(bad: Watched) -> Page:
    """The report of the faulty run, as it is when it has been opened."""
    bad.page.set_viewport_size({"width": 1280, "height": 800})
    bad.page.evaluate("window.scrollTo(0, 0)")
    bad.page.mouse.move(1, 1)
    bad.page.click("[data-move=violation]")
    bad.page.evaluate("window.scrollTo(0, 0)")
    return bad.page


def in_view(page: Page) -> ViewRange:
    box = page.locator("#range")
    return float(box.get_attribute("data-begin") or "nan"), float(box.get_attribute("data-end") or "nan")


def times_of_violation(page: Page) -> list[float]:
    found: list[float] = page.evaluate("dirql.facts.violations[0].places.map((place) => dirql.state.model.time[place])")
    return found


def place_on_screen(page: Page, expression: str) -> tuple[float, float]:
    """Return where the place, an expression of the model `m`, is in the timeline's box."""
    script = f"""() => {{
        const s = dirql.state, m = s.model, g = s.grid(), place = {expression}, cpu = m.cpuOf(place);
        const lane = dirql.laneBox(g, cpu, m.cpus).ran;
        const box = s.element.getBoundingClientRect();
        const x = g.x + (m.time[place] - s.view.begin) / (s.view.end - s.view.begin) * g.width;
        return [box.x + x, box.y + lane.y + lane.height / 2];
    }}"""
    x, y = page.evaluate(script)
    return x, y


def pixels(page: Page, selector: str) -> np.ndarray[Any, np.dtype[np.int16]]:
    image = Image.open(io.BytesIO(page.locator(selector).screenshot()))
    return np.asarray(image.convert("RGB")).astype(np.int16)


def is_coloured(image: np.ndarray[Any, Any], colour: tuple[int, int, int]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    near: np.ndarray[Any, np.dtype[np.bool_]] = (np.abs(image - np.array(colour)) <= 12).all(axis=2)
    return near


def test_from_the_red_verdict_to_the_two_lines(page: Page) -> None:
    assert page.locator("#verdict h1").is_visible()
    assert "Violated" in page.locator("#verdict h1").inner_text()
    page.click("[data-move=all]")
    page.evaluate("window.scrollTo(0, 0)")
    page.click("#first-violations a >> nth=0")  # the one click that it takes
    meant = page.locator("article:visible .line.meant")
    assert sorted(meant.all_inner_texts()) == sorted(f"{n}    {t}\n" for n, t in zip(LINES, TEXTS, strict=True))
    boxes = [box for box in (site.bounding_box() for site in page.locator("article:visible .site").all()) if box]
    assert len(boxes) == 2
    assert boxes[0]["y"] == boxes[1]["y"]  # side by side
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
    assert all(box["y"] >= 0 and box["y"] + box["height"] <= 800 for box in boxes)
    times = times_of_violation(page)
    begin, end = in_view(page)
    assert begin < min(times) <= max(times) < end
    assert abs((min(times) + max(times)) / 2 - (begin + end) / 2) < (end - begin) * 0.05
    chart = page.locator("#timeline-chart").bounding_box()
    assert chart is not None
    assert chart["y"] < 750  # its first lanes are on the same screen


def test_the_violation_is_marked_where_it_is(page: Page) -> None:
    page.locator("#timeline-chart").scroll_into_view_if_needed()
    red = is_coloured(pixels(page, "#timeline-chart"), MARK_LIGHT)
    box = page.locator("#timeline-chart").bounding_box()
    assert box is not None
    for at in range(4):
        x, y = place_on_screen(page, f"dirql.facts.violations[0].places[{at}]")
        near = red[int(y - box["y"]) - 8 : int(y - box["y"]) + 8, int(x - box["x"]) - 3 : int(x - box["x"]) + 4]
        assert near.any(axis=1).mean() > 0.9  # a line from above to below
    times = times_of_violation(page)
    far = max(times) + 100_000
    page.evaluate(f"dirql.show(dirql.state, {far}, {far + 2000})")
    assert is_coloured(pixels(page, "#timeline-chart"), MARK_LIGHT).sum() < 20


def test_wheel_drag_keys_and_buttons_move_the_timeline(page: Page) -> None:
    chart = page.locator("#timeline-chart")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] / 2, box["y"] + 60

    def changed(act: Any) -> tuple[ViewRange, ViewRange]:  # noqa: ANN401 (a call)
        before = in_view(page)
        act()
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return before, in_view(page)

    def length(view: ViewRange) -> float:
        return view[1] - view[0]

    page.mouse.move(*middle)
    before, after = changed(lambda: page.mouse.wheel(0, -240))
    assert length(after) < 0.95 * length(before)
    before, after = changed(lambda: page.mouse.wheel(0, 240))
    assert length(after) > 1.05 * length(before)

    def drag() -> None:
        page.mouse.down()
        page.mouse.move(middle[0] - 200, middle[1], steps=4)
        page.mouse.up()

    before, after = changed(drag)
    assert after[0] > before[0]
    assert length(after) == pytest.approx(length(before), rel=1e-3)
    chart.focus()
    for key, grows, moves in (("+", -1, 0), ("-", 1, 0), ("ArrowRight", 0, 1), ("ArrowLeft", 0, -1)):
        before, after = changed(lambda key=key: page.keyboard.press(key))
        assert np.sign(round(length(after) - length(before), 3)) == grows, key
        if moves:
            assert np.sign(after[0] - before[0]) == moves, key
    before, after = changed(lambda: page.click("[data-move=all]"))
    assert after == pytest.approx((page.evaluate("dirql.state.model.begin"), page.evaluate("dirql.state.model.end")))
    before, after = changed(lambda: page.click("[data-move=in]"))
    assert length(after) < length(before)


def test_pointing_tells_event_duration_and_call_site(page: Page) -> None:
    page.locator("#timeline-chart").scroll_into_view_if_needed()
    time = times_of_violation(page)[2]
    page.evaluate(f"dirql.show(dirql.state, {time} - 2000, {time} + 2000)")
    x, y = place_on_screen(page, "dirql.facts.violations[0].places[2]")
    page.mouse.move(x + 1, y)
    tip = page.locator(".tip")
    tip.wait_for(state="visible")
    text = tip.inner_text()
    assert "LockAcquired" in text
    assert f"{FILE}:" in text
    assert re.search(r"\d (ns|µs|ms)\b", text)
    assert "shows SPIN-9" in text
    page.mouse.move(1, 1)
    tip.wait_for(state="hidden")


def test_records_can_be_read_one_after_another_by_key(page: Page) -> None:
    page.locator("#timeline-chart").focus()
    lines = []
    for key in (".", ".", ".", ","):
        page.keyboard.press(key)
        lines.append(page.locator("#record-line").inner_text())
    assert len(set(lines[:3])) == 3
    assert lines[3] == lines[1]
    assert all(re.match(r"CPU \d+, [\d.,]+ (ns|µs|ms), IRQL \d+: \w+", line) for line in lines)
    page.click("article:visible .records summary")
    page.click("article:visible button[data-place] >> nth=1")
    assert FILE in page.locator("#record-line").inner_text()
    page.click("article:visible .records summary")


def test_violations_are_shown_one_at_a_time(page: Page) -> None:
    assert page.locator("article.violation:visible").count() == 1
    first = page.locator("article:visible h3").inner_text()
    page.click("#violation-after")
    assert page.locator("article.violation:visible").count() == 1
    assert page.locator("article:visible h3").inner_text() != first
    page.click("#violation-before")
    assert page.locator("article:visible h3").inner_text() == first


def test_names_are_never_markup(page: Page) -> None:
    assert page.title() != "taken"
    assert HOSTILE in page.title()
    assert HOSTILE in page.locator(".subject").inner_text()
    for part in ("#violations", "#run", "#locks"):
        assert HOSTILE in page.locator(part).text_content(), part  # type: ignore[operator]
    assert page.evaluate("document.querySelectorAll('main script, .tip script, main b b').length") == 0


def luminance(colour: str) -> float:
    values = [int(value) / 255 for value in re.findall(r"\d+", colour)[:3]]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def contrast(page: Page, text: str, behind: str) -> float:
    read = "([s, p]) => getComputedStyle(document.querySelector(s))[p]"
    pair = [
        luminance(page.evaluate(read, [text, "color"])),
        luminance(page.evaluate(read, [behind, "backgroundColor"])),
    ]
    return (max(pair) + 0.05) / (min(pair) + 0.05)


PAIRS = (
    ("#verdict h1", "#verdict"),
    ("#verdict p", "#verdict"),
    ("#timeline h2", "#timeline"),
    ("#timeline .note", "#timeline"),
    ("#clauses td.state.ok", "#clauses"),
    ("#clauses td.state.unknown", "#clauses"),
    ("#clauses td .page", "#clauses"),
    ("#run dd", "#run"),
    ("footer", "body"),
)


def test_light_and_dark_differ_and_can_be_read(page: Page) -> None:
    backgrounds, charts = [], []
    schemes: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme)
        found = {
            pair: contrast(page, *pair) for pair in (*PAIRS, (".clause", ".clause"), (".line.meant", ".line.meant"))
        }
        assert min(found.values()) >= READABLE, (scheme, found)
        backgrounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        charts.append([int(is_coloured(pixels(page, "#irql-chart"), bar).sum()) for bar in BARS])
    assert luminance(backgrounds[0]) > 0.8 > 0.1 > luminance(backgrounds[1])
    assert charts[0][0] > 5000 < charts[1][1]  # the charts follow
    assert charts[0][1] < 1000 > charts[1][0]
    page.select_option("#theme", "light")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == backgrounds[0]
    page.select_option("#theme", "auto")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == backgrounds[1]
    page.emulate_media(color_scheme="light")


def test_clauses_are_chosen_by_status_and_tables_sorted(page: Page) -> None:
    rows = page.locator("#clause-table tbody tr:visible")
    every = rows.count()
    page.uncheck("input[data-status=unknown]")
    assert 0 < rows.count() < every
    assert page.locator("#clause-table tr[data-status=unknown]:visible").count() == 0
    page.check("input[data-status=unknown]")
    page.click("#clause-table th:nth-child(3) button")
    judged = [int(text.replace(",", "")) for text in page.locator("#clause-table td:nth-child(3)").all_inner_texts()]
    assert judged == sorted(judged, reverse=True)
    assert judged[0] > 0
    page.click("#clause-table th:nth-child(1) button")


def test_everything_is_reached_by_the_keyboard(page: Page) -> None:
    page.evaluate("() => { document.body.tabIndex = -1; document.body.focus(); }")
    seen = []
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate("(() => { const e = document.activeElement; return e.id || e.className || e.tagName; })()")
        )
        if seen[-1] == "timeline-chart":
            break
    assert seen[0] == "skip"
    assert {"theme", "violation-choice", "timeline-chart"} <= set(seen)


def test_nothing_leaves_and_nobody_complains(browser: Browser, reports: Reports, bad: Watched) -> None:
    narrow = show(browser, reports.bad, viewport={"width": 480, "height": 800}, color_scheme="dark", offline=True)
    assert narrow.page.evaluate("document.documentElement.scrollWidth") <= 480
    answer = narrow.page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')")
    assert answer == "refused"
    assert all("Content Security Policy" in text for text in narrow.complaints)  # of that fetch alone
    assert narrow.complaints
    narrow.page.close()
    assert bad.complaints == []
    assert [url for url in bad.requests if not url.startswith(("data:", "blob:"))] == [reports.bad.as_uri()]


@pytest.mark.parametrize(("name", "words", "colour"), [("good", "No rule is broken", 1), ("unknown", "Unknown", None)])
def test_other_verdicts_look_otherwise(
    browser: Browser, reports: Reports, name: str, words: str, colour: int | None
) -> None:
    watched = show(browser, getattr(reports, name))
    page = watched.page
    assert page.locator("#verdict h1").inner_text().startswith(words)
    assert page.locator("#verdict svg").is_visible()
    red, green, blue = (int(v) for v in re.findall(r"\d+", page.evaluate("getComputedStyle(verdict).backgroundColor")))
    if colour is None:
        assert max(red, green, blue) - min(red, green, blue) < 30  # grey
        assert "7 records were lost" in page.locator(".doubts").inner_text()
    else:
        assert green > 1.5 * max(red, blue)
    assert contrast(page, "#verdict h1", "#verdict") >= READABLE
    assert page.locator("#violations").count() == 0
    assert is_coloured(pixels(page, "#timeline-chart"), MARK_LIGHT).sum() == 0
    assert watched.complaints == []
    page.close()


def test_on_paper_all_is_there(page: Page) -> None:
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert not page.locator(".bar").is_visible()
    assert page.locator("article.violation:visible").count() == page.locator("article.violation").count() > 1
    page.emulate_media(media="screen")
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("article.violation:visible").count() == 1


def test_far_away_no_arrow_is_left(page: Page) -> None:
    count = """([begin, end]) => {
        dirql.show(dirql.state, begin, end);
        const drawn = dirql.state.chart.getZr().storage.getDisplayList(true);
        return drawn.filter((each) => each.z === 3 && each.shape?.data?.length).length;
    }"""
    way = (
        """(() => { const { way, time } = dirql.state.model; return [way.begin[3] - 500, time[way.to[3]] + 500]; })()"""
    )
    assert page.evaluate(count, page.evaluate(way)) == 1
    page.set_viewport_size({"width": 480, "height": 800})
    page.wait_for_function("dirql.state.chart.getWidth() < 480")
    assert page.evaluate(count, page.evaluate("[dirql.state.model.begin, dirql.state.model.end]")) == 0
