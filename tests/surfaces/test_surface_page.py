"""The page of surfaces as a person drives it: dragged, slid, switched, played, by mouse, finger and keys."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ravine
from browsing import PHONE, WIDE, watched
from command_line import ravine as command
from ravine.errors import InputError
from ravine.report.surface import html
from ravine.rules import rule
from ravine.surfaces import scene

Open = Callable[..., Any]
WRITTEN: dict[str | None, str] = {}  # pages of named surfaces and rules, which several tests open


@pytest.fixture
def opened(tab: Any, page_path: Path) -> Open:
    """Write a scene's page and open it, watched. Its maps take a second."""

    def open_page(
        *args: Any, maps: bool = False, size: tuple[int, int] = WIDE, tab: Any = tab, **given: Any
    ) -> Any:
        named = all(isinstance(each, str) for each in (*args, *given.get("rules", ())))
        key = repr((args, maps, given)) if named else None
        text = WRITTEN.get(key) or html(scene(*args, **given), maps=maps)
        if key:
            WRITTEN[key] = text
        page_path.write_text(text, encoding="utf-8")
        return watched(tab, page_path, size)

    return open_page


def settle(page: Any) -> None:
    """Wait until everything asked for is drawn."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def drawn(page: Any) -> str:
    """What the canvases show in the end."""
    settle(page)
    return str(
        page.evaluate("['ground', 'paths'].map((id) => document.getElementById(id).toDataURL()).join()")
    )


def start_of(page: Any) -> list[float]:
    settle(page)
    found = re.search(r"\((\S+), (\S+)\)", page.inner_text("#where").replace("−", "-"))
    assert found
    return [float(found[1]), float(found[2])]


def slide(page: Any, selector: str, value: int) -> None:
    page.eval_on_selector(
        selector, "(input, value) => { input.value = value; input.dispatchEvent(new Event('input')); }", value
    )


def end_of(page: Any, kind: str) -> str:
    settle(page)
    return str(page.inner_text(f"[data-rule={kind}] .end"))


def wait_for_step(page: Any, holds: Callable[[int], bool]) -> None:
    for _ in range(1000):
        if holds(int(page.inner_text("#at").split()[0])):
            return
        page.wait_for_timeout(20)
    raise AssertionError(page.inner_text("#at"))


@pytest.mark.browser
@pytest.mark.parametrize(
    "size", [pytest.param(WIDE, id="wide"), pytest.param(PHONE, id="phone", marks=pytest.mark.slow)]
)
def test_all_is_drawn_and_nothing_overflows(opened: Open, size: tuple[int, int]) -> None:
    with opened("rosenbrock", maps=True, size=size) as page:
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        for name in ("ground", "paths", "chart", "apart"):
            colours = page.evaluate(
                """(id) => {
                    const c = document.getElementById(id);
                    const { data } = c.getContext("2d").getImageData(0, 0, c.width, c.height);
                    return new Set(new Uint32Array(data.buffer)).size;
                }""",
                name,
            )
            assert colours > 10, name
        for kind in ("sgd", "momentum", "adagrad", "rmsprop", "adam"):
            assert end_of(page, kind).startswith("ends at"), kind


@pytest.mark.slow
@pytest.mark.browser
def test_a_print_has_the_numbers_and_no_controls(opened: Open) -> None:
    with opened("rosenbrock", maps=True) as page:
        page.emulate_media(media="print")
        for hidden in (".player", "#surface", "#best", "input", "details", ".hint"):
            assert not any(each.is_visible() for each in page.query_selector_all(hidden)), hidden
        for shown in ("#map", "#chart", "[data-rule=adam] output", "#where", "#basins"):
            assert page.locator(shown).first.is_visible(), shown
        assert not page.locator("[data-rule=nesterov]").is_visible()  # it is off


@pytest.mark.slow
@pytest.mark.browser
def test_the_start_is_dragged_by_mouse_and_moved_by_keys(opened: Open) -> None:
    with opened("ellipse") as page:
        before, box = drawn(page), page.locator("#map").bounding_box()
        page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.3)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] * 0.25, steps=5)
        page.mouse.up()
        assert start_of(page) == pytest.approx([1.5, 1.5], abs=0.02)
        assert drawn(page) != before
        page.mouse.move(box["x"] + 5, box["y"] + 5)  # the button is up
        assert start_of(page) == pytest.approx([1.5, 1.5], abs=0.02)
        page.focus("#map")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("Shift+ArrowDown")
        assert start_of(page) == pytest.approx([1.44, 0.9], abs=0.02)
        for _ in range(12):
            page.keyboard.press("Shift+ArrowRight")
        assert start_of(page)[0] == 3.0


@pytest.mark.slow
@pytest.mark.browser
def test_a_finger_moves_the_start(browser: Any, opened: Open) -> None:
    context = browser.new_context(has_touch=True)
    with opened("ellipse", size=PHONE, tab=context.new_page()) as page:
        box = page.locator("#map").bounding_box()
        page.touchscreen.tap(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
        assert start_of(page) == pytest.approx([-1.5, 0.0], abs=0.05)
    context.close()


@pytest.mark.browser
def test_learning_rates_one_for_each_or_one_for_all(opened: Open) -> None:
    with opened("ellipse", rules=["sgd", "momentum"]) as page:
        assert end_of(page, "sgd").startswith("ends at")
        slide(page, "[data-rule=sgd] input[data-name=lr]", 900)
        assert re.match(r"(diverged|left the map)", end_of(page, "sgd"))
        assert end_of(page, "momentum").startswith("ends at")
        page.check("#common")
        slide(page, "#lr", 1000)
        assert re.match(r"(diverged|left the map)", end_of(page, "momentum"))
        assert not page.is_visible("[data-rule=sgd] input[data-name=lr]")
        page.click("#best")
        assert not page.is_checked("#common")
        assert end_of(page, "sgd").startswith("ends at")


@pytest.mark.slow
@pytest.mark.browser
def test_hypers_change_the_path_and_reset_brings_it_back(opened: Open) -> None:
    with opened("ellipse", rules=["momentum", "adam"], lr=0.05) as page:
        first = drawn(page)
        for summary in page.query_selector_all("summary"):
            if summary.is_visible():
                summary.click()
        slide(page, "[data-rule=momentum] input[data-name=rho]", 0)
        assert page.inner_text("[data-rule=momentum] .slider:has([data-name=rho]) output") == "0"
        slowed = drawn(page)
        page.uncheck("[data-rule=adam] input[data-name=bias_correction]")
        assert len({first, slowed, drawn(page)}) == 3
        page.click("#reset")
        for summary in page.query_selector_all("details[open] summary"):
            summary.click()
        assert drawn(page) == first


@pytest.mark.slow
@pytest.mark.browser
def test_rules_are_switched_on_and_off(opened: Open) -> None:
    with opened("ellipse", rules=["sgd"], lr=0.02) as page:
        before = drawn(page)
        page.check("[data-rule=adam] .head input")
        assert end_of(page, "adam").startswith("ends at")
        assert drawn(page) != before
        assert page.eval_on_selector_all("#focus option", "all => all.map(o => o.value)") == ["sgd", "adam"]
        page.uncheck("[data-rule=adam] .head input")
        assert drawn(page) == before
        page.uncheck("[data-rule=sgd] .head input")
        settle(page)


@pytest.mark.slow
@pytest.mark.browser
def test_the_ellipse_is_turned_and_flattened_and_noise_has_a_seed(opened: Open) -> None:
    with opened("ellipse", rules=["sgd"], lr=0.02) as page:
        seen = {drawn(page)}
        for name, value in (("angle", 750), ("condition", 0), ("gradient noise", 500), ("seed", 300)):
            slide(page, f"#params input[data-name='{name}']", value)
            seen.add(drawn(page))
        assert len(seen) == 5
        slide(page, "#params input[data-name='gradient noise']", 0)
        quiet = drawn(page)
        slide(page, "#params input[data-name='seed']", 0)
        assert drawn(page) == quiet


@pytest.mark.slow
@pytest.mark.browser
def test_steps_are_scrubbed_and_played_and_both_views_follow(opened: Open) -> None:
    with opened("rosenbrock", steps=40) as page:
        whole = drawn(page)
        slide(page, "#step", 7)
        settle(page)
        assert page.inner_text("#at") == "7 of 40"
        assert "= step 8" in page.inner_text("#parts")
        box = page.locator("#losses").bounding_box()
        page.mouse.click(box["x"] + box["width"] - 13, box["y"] + 50)
        settle(page)
        assert page.inner_text("#at") == "40 of 40"
        page.click("#play")
        wait_for_step(page, lambda step: 3 < step < 40)
        page.click("#play")
        slide(page, "#step", 36)  # all 40 would take 8 s
        page.click("#play")
        wait_for_step(page, lambda step: step == 40)
        assert page.inner_text("#play") == "Play"
        assert drawn(page) == whole


@pytest.mark.browser
@pytest.mark.slow
def test_another_surface_is_chosen(opened: Open) -> None:
    with opened("ellipse") as page:
        for name in page.eval_on_selector_all("#surface option", "all => all.map(o => o.value)"):
            page.select_option("#surface", name)
            assert end_of(page, "adam").startswith(("ends at", "left the map"))
            assert page.inner_text("h1").lower() == name.replace("_", " ")


@pytest.mark.browser
@pytest.mark.slow
def test_a_rule_without_an_expression_is_shown_with_paths_computed_beforehand(opened: Open) -> None:
    def update(grad: Any, state: Any, param: Any, hypers: Any, t: Any) -> Any:
        return -hypers["lr"] * grad * (1.0 if grad.abs().max() < 1 else 0.5), state

    mine = replace(rule("sgd"), name="halving", update=update)
    with opened("ellipse", rules=[mine, "adam"]) as page:
        assert "its control flow depends on the numbers" in page.inner_text("[data-rule=halving] .note")
        before = drawn(page)
        slide(page, "[data-rule=halving] input[data-name=lr]", 1000)
        assert re.match(r"(diverged|left the map)", end_of(page, "halving"))
        assert drawn(page) != before


@pytest.mark.browser
def test_a_hostile_name_is_only_a_name(opened: Open) -> None:
    def mine(x: Any) -> Any:
        return (x * x).sum()

    mine.__name__ = "</script><img src=x onerror=alert(1)>"
    with opened(mine, rules=[replace(rule("sgd"), name="<b>'\"&")]) as page:
        assert "<img" in page.inner_text("h1").lower()
        assert page.locator("img, #rules b").count() == 0


@pytest.mark.slow
def test_the_command_line_writes_the_page(tmp_path: Path) -> None:
    words = ["surface", "rosenbrock", "--rules", "momentum,adam", "--start", "-1.5,2", "--steps", "50"]
    done = command(tmp_path, *words, "--out", "p.html")
    assert (done.returncode, done.stdout) == (0, "surface: p.html\n"), done.stderr
    payload = re.search(r'id="payload">(.*?)</script>', (tmp_path / "p.html").read_text())
    assert payload
    data = json.loads(payload[1])
    assert (data["first"], data["start"], data["steps"]) == ("rosenbrock", [-1.5, 2.0], 50)
    assert [each["name"] for each in data["rules"] if each["on"]] == ["momentum", "adam"]


def test_a_rule_of_ones_own_walks_by_its_name_with_the_penalties_that_it_allows(tmp_path: Path) -> None:
    (tmp_path / "signs_on_a_map.py").write_text(
        "from ravine import Hyper, Rule\n"
        "print('hello')\n"
        "lr = Hyper(about='learning rate', low_open=True)\n"
        "update = lambda grad, state, param, hypers, t: (-hypers['lr'] * grad.sign(), state)\n"
        "mine = Rule(name='signs', hypers={'lr': lr}, update=update, refuses=frozenset({'l1'}))\n"
    )
    words = ["surface", "--rules", "signs_on_a_map:mine,sgd", "--steps", "5", "--no-maps", "--out", "p.html"]
    done = command(tmp_path, *words)
    assert (done.returncode, done.stdout) == (0, "surface: p.html\n"), done.stderr
    payload = re.search(r'id="payload">(.*?)</script>', (tmp_path / "p.html").read_text())
    assert payload
    on = {each["name"]: each for each in json.loads(payload[1])["rules"] if each["on"]}
    assert list(on) == ["signs", "sgd"]
    assert [hyper["name"] for hyper in on["signs"]["hypers"]] == ["lr", "weight_decay"]
    assert [hyper["name"] for hyper in on["sgd"]["hypers"]] == ["lr", "weight_decay", "l1"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"ground": "rosenbrok"}, "did you mean 'rosenbrock'"),
        ({"rules": ["adma"]}, "did you mean 'adam'"),
        ({"start": [1.0]}, "start = [1.0]: must be 2 finite numbers"),
        ({"rules": ["sgd", "adam", "sgd"]}, "rules: 'sgd' is named twice"),
        ({"rules": [replace(rule("sgd"), name="a", hypers={})]}, "rules: 'a' has no hyper lr"),
        (
            {"rules": [replace(rule("sgd"), name="a", update=lambda *_: 1 / 0)]},
            "rules: 'a' fails on a point: ZeroDivisionError",
        ),
        ({"rules": [rule("lbfgs")]}, "rules: 'lbfgs' searches for its steps"),
        (
            {
                "rules": [
                    replace(
                        rule("momentum"),
                        name="a",
                        hypers=dict.fromkeys(("lr", "rho"), rule("sgd").hypers["lr"]),
                    )
                ]
            },
            "rules: 'a' has no default for rho",
        ),
        ({"rules": [3]}, "rules: 3 is not a rule: must be a ravine.Rule or a name"),
        ({"rules": ["nowhere_at_all:mine"]}, "rules = 'nowhere_at_all:mine': no module 'nowhere_at_all'"),
        ({"start": [0, 10**5000]}, "must be 2 finite numbers"),
        ({"steps": 0}, "steps = 0: must be a whole number from 1 to 5,000"),
        ({"steps": 10**5000}, "steps = an int too large to show: must be a whole number"),
        ({"lr": 10**5000}, "lr = an int too large to show: must be"),
        ({"noise": 10**5000}, "noise = an int too large to show: must be a finite number of at least 0"),
        ({"lr": -1.0}, "lr = -1.0"),
        ({"noise": float("nan")}, "noise = nan"),
        ({"seed": -1}, "seed = -1"),
        ({"domain": [0, 1, 0, 1]}, "domain: only a function's map is chosen"),
        ({"ground": lambda x: x.sum(), "domain": [1, 0, 0, 1]}, "domain = [1, 0, 0, 1]: must be left, right"),
        ({"ground": lambda x: 1 / 0}, "surface 'f' fails at its start: ZeroDivisionError"),
        ({"ground": lambda x: x}, "surface 'f': must return a tensor of one number, not one of shape (2,)"),
        ({"ground": lambda x: 3.0}, "surface 'f': must return a tensor of one number, not 3.0"),
        ({"ground": 3}, "surface = 3: must be a name, or a function"),
        ({"out": "/nowhere/at/all.html"}, "cannot be written"),
    ],
)
def test_mistakes_are_told_in_a_line(given: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^[^\n]+$") as caught:
        ravine.surface(**{"out": tmp_path / "x.html", **given})
    assert words in str(caught.value)
    assert not (tmp_path / "x.html").exists()


@pytest.mark.slow
@pytest.mark.browser
def test_maps_of_final_losses_follow_their_slider_and_set_a_start(opened: Open) -> None:
    with opened("ellipse", maps=True, rules=["sgd", "momentum"], steps=60) as page:
        figures = page.locator("#maps figure:visible")
        assert figures.count() == 2
        shares = figures.nth(0).locator("span")
        assert shares.inner_text() != "0 %"
        slide(page, "#basin-lr", 24)
        assert shares.inner_text() == "0 %"
        slide(page, "#basin-lr", 12)
        box = figures.nth(0).locator("canvas").bounding_box()
        figures.nth(0).locator("canvas").click(position={"x": box["width"] * 0.75, "y": box["height"] * 0.5})
        assert start_of(page) == pytest.approx([1.5, 0.0], abs=0.05)
        page.check("[data-rule=adam] .head input")
        assert figures.count() == 3
        page.select_option("#surface", "saddle")
        assert not page.is_visible("#basins")
