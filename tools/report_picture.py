# SPDX-License-Identifier: Apache-2.0
"""Make docs/report.png: the report of a run in which abba.sys takes two locks in opposite orders.

    python tools/report_picture.py [FILE]

It takes `make build`, Chromium and the development packages.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

RUN = ("run-driver", "abba.sys", "--device", "none", "--mode", "icount", "--seed", "1", "--no-verifier", "--no-export")
WIDTH, HEIGHT = 1180, 1130
COLOURS = 160
"""In the palette of the picture: enough for the page, and a third of the size."""


def main() -> None:
    """Run, report, take the picture."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/report.png")
    with tempfile.TemporaryDirectory() as name:
        run = Path(name) / "run"
        program = [sys.executable, "-m", "dirql"]
        subprocess.run([*program, *RUN, "--out", str(run)], check=False, stdout=subprocess.DEVNULL)  # its verdict is 1
        subprocess.run([*program, "report", str(run)], check=True)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
            page.goto((run / "report.html").as_uri())
            page.wait_for_selector("html[data-ready=true]")
            picture = Image.open(io.BytesIO(page.screenshot()))
            browser.close()
    picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(out, optimize=True)


if __name__ == "__main__":
    main()
