# SPDX-License-Identifier: Apache-2.0
"""From the run of a driver with a seeded bug to the lines that are wrong, as a new user goes."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.system.cli.test_abba import ACQUISITIONS, SOURCE
from tests.system.cli.test_driver import dirql
from tests.unit.report.html.test_html_browser import ARGUMENTS, BROWSER


def test_the_report_leads_to_the_two_places_in_two_clicks(tmp_path: Path) -> None:
    arguments = ("--device", "none", "--mode", "icount", "--seed", "1", "--no-verifier", "--no-export")
    done = dirql("run-driver", "abba.sys", *arguments, "--out", "run", cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "as a page: dirql report run"
    assert dirql("report", "run", cwd=tmp_path).returncode == 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto((tmp_path / "run" / "report.html").as_uri())
        page.wait_for_selector("html[data-ready=true]")
        assert page.locator("#verdict h1").inner_text() == "Violated: a rule is broken, once"
        page.click("#first-violations a")
        meant = page.locator("article:visible .line.meant")
        shown = {int(text.split()[0]): re.sub(r"^\d+\s*", "", text).rstrip() for text in meant.all_inner_texts()}
        lines = SOURCE.read_text(encoding="utf-8").splitlines()
        assert sorted(f"guest/drivers/abba.c:{number}" for number in shown) == sorted(ACQUISITIONS)
        assert all(lines[number - 1].strip() == text for number, text in shown.items())
        assert all((box := line.bounding_box()) and 0 < box["y"] < 800 for line in meant.all())
        page.click("[data-move=violation]")  # and where that was, among what the CPUs did
        page.hover("#timeline-chart", position={"x": 700, "y": 60})
        assert page.locator(".tip").is_visible()
        browser.close()
