"""How fast the page of a surface is: maps of final losses, size, first paint, frames while a slider is dragged.

    python benchmarks/surface.py [--surface rosenbrock] [--rules 12] [--seconds 3] [--size 1280x900]

Frames are those that a Chromium trace says were drawn ("DrawFrame") while the common learning rate
is moved up and down every 4 ms, with that many rules on. First paint is the browser's own entry, from opening.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import statistics
import tempfile
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from ravine.report.surface import html
from ravine.rules import RULES, rule
from ravine.surfaces import scene, surface
from ravine.surfaces.basins import LRS, SIZE, basins
from ravine.surfaces.traced import trace_rule


def rules_of(num: int) -> list[Any]:
    """That many rules: the registry's, then Adam with other names."""
    found = [each for each in RULES.values() if each.others is None][:num]
    return [*found, *(replace(rule("adam"), name=f"adam_{i}") for i in range(num - len(found)))]


def time_basins(name: str, num: int, repeats: int) -> list[float]:
    times = []
    for _ in range(repeats):
        traced = [trace_rule(each) for each in rules_of(num)]
        begun = time.perf_counter()
        basins(surface(name), traced, steps=300)
        times.append(time.perf_counter() - begun)
    return times


# From inside the page: a mouse moved from outside waits for the browser at each move (surface.md has what it gave).
DRAG = """(length) => new Promise((done) => {
    const slider = document.getElementById("lr"), begun = performance.now();
    const timer = setInterval(() => {
        const passed = performance.now() - begun;
        slider.value = 100 + 500 * Math.abs(((passed / 500) % 2) - 1);
        slider.dispatchEvent(new Event("input"));
        if (passed > length) { clearInterval(timer); done(); }
    }, 4);
})"""


def drag(page: Any, seconds: float) -> dict[str, Any]:
    """Move the common learning rate, under a trace."""
    page.check("#common")
    session = page.context.new_cdp_session(page)
    events: list[dict[str, Any]] = []
    session.on("Tracing.dataCollected", lambda data: events.extend(data["value"]))
    complete: list[bool] = []
    session.on("Tracing.tracingComplete", lambda _: complete.append(True))
    session.send(
        "Tracing.start", {"categories": "devtools.timeline,disabled-by-default-devtools.timeline.frame"}
    )
    begun = time.perf_counter()
    page.evaluate(DRAG, 1000 * seconds)
    length = time.perf_counter() - begun
    session.send("Tracing.end")
    while not complete:
        page.wait_for_timeout(20)
    drawn = sorted(event["ts"] for event in events if event["name"] == "DrawFrame")
    gaps = sorted((b - a) / 1000 for a, b in pairwise(drawn))
    return {
        "frames_per_second": round(len(drawn) / length, 1),
        "gap_ms_median": round(statistics.median(gaps), 1),
        "gap_ms_95": round(gaps[int(0.95 * len(gaps))], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--surface", default="rosenbrock")
    parser.add_argument("--rules", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--size", default="1280x900")
    given = parser.parse_args()
    times = time_basins(given.surface, given.rules, given.repeats)
    text = html(scene(given.surface, rules=rules_of(given.rules)))
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    width, height = map(int, given.size.split("x"))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "surface.html"
        path.write_text(text, encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        paints, frames = [], []
        for _ in range(given.repeats):
            page = browser.new_page(viewport={"width": width, "height": height})
            page.goto(path.as_uri())
            page.wait_for_selector("html[data-drawn=true]", state="attached")
            page.wait_for_timeout(300)
            paints.append(
                page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
            )
            frames.append(drag(page, given.seconds))
            page.close()
        browser.close()
    print(
        json.dumps(
            {
                "surface": given.surface,
                "rules": given.rules,
                "basins": f"{given.rules} rules x {len(LRS)} lrs x {SIZE} x {SIZE} starts x 300 steps",
                "basins_seconds": [round(each, 2) for each in times],
                "page_megabytes": round(len(text.encode()) / 1e6, 2),
                "first_paint_ms": [round(each) for each in paints],
                "drag": frames,
                "viewport": given.size,
                "machine": f"{platform.machine()}, {platform.python_version()}",
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
