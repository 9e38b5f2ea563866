"""The page as a file: complete, self-contained, escaped, and quick to make."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_studies import Make, fill
from rich.console import Console, RenderableType

from ravine.errors import InputError
from ravine.outcomes.results import Results
from ravine.outcomes.words import beside
from ravine.report import page, terminal
from ravine.store import Store
from ravine.times import duration

HOSTILE = "</script><script>document.title='owned'</script>\"'&<img src=x onerror=alert(1)>"


class Outline(HTMLParser):
    """Elements, their attributes and the text in them, as a browser would see them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def outline(html: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Outline()
    parser.feed(html)
    return parser.tags


def test_the_page_refers_to_nothing_outside_itself(six: Results) -> None:
    tags = outline(page.report(six).decode())
    for tag, attributes in tags:
        assert tag not in ("iframe", "object", "embed", "base", "form", "audio", "video"), tag
        for name in ("src", "srcset", "action", "background", "poster"):
            assert name not in attributes, (tag, attributes)
        if "href" in attributes:
            assert (tag, str(attributes["href"])[:5]) == ("link", "data:")
    assert [tag for tag, _ in tags].count("script") == 3
    policy = next(a["content"] for tag, a in tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy.split(";")[1]


def test_the_page_has_every_run_and_the_words_of_the_verdict(six: Results) -> None:
    html = page.report(six).decode()
    tags = outline(html)
    assert sum("data-id" in attributes for _, attributes in tags) == 162
    for sentence in six.verdict.sentences:
        assert sentence in html
    for name in ("lr", "curves", "regimes", "gap", "budget"):
        assert f'--figure</span> <span class="word">{name}</span></code>' in html
    for word in ("2.13.0", "AMD EPYC 7R13", "digits.toml</span></code>", "hidden = [32, 32]"):
        assert word in html


def test_hostile_names_stay_text(make: Make) -> None:
    results = make(
        name=HOSTILE,
        rules=(HOSTILE,),
        lrs=(1e-3, 1e-2),
        others={HOSTILE: (HOSTILE, "b")},
        seeds=2,
        command=HOSTILE,
    )
    html = page.report(results).decode()
    tags = outline(html)
    assert [tag for tag, _ in tags].count("script") == 3
    assert "img" not in {tag for tag, _ in tags}
    assert not [a for _, a in tags if any(name.startswith("on") for name in a)]
    payload = re.search(r'<script type="application/json" id="figures">(.*?)</script>', html, re.DOTALL)
    assert payload is not None
    assert "<" not in payload[1]
    assert json.loads(payload[1])[0]["views"][0]["chips"][0]["label"] == HOSTILE


def test_embedded_json_survives(six: Results) -> None:
    value = {"a": "</script><!--&\u2028\u2029é", "b": [1.5, None]}
    assert json.loads(page.embed(value)) == value
    assert page.embed(value).isprintable()
    with pytest.raises(ValueError, match="JSON"):
        page.embed(float("nan"))


def test_writing_replaces_the_file_whole_or_leaves_it(six: Results, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    assert page.write(six, path) == path
    assert path.read_text(encoding="utf-8") == page.report(six).decode()
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
    if os.name == "posix":
        assert path.stat().st_mode & 0o044  # as readable as any file that the user makes


def test_an_unwritable_place_is_one_line_and_leaves_nothing(six: Results, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere/report.html: cannot be written: No such file"):
        page.write(six, tmp_path / "nowhere" / "report.html")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        page.write(six, tmp_path / "folder.html")
    with pytest.raises(InputError, match=r"report.pdf': a page must end in .html"):
        page.write(six, tmp_path / "report.pdf")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder.html"]


def test_one_figure_has_a_page_of_its_own(six: Results, tmp_path: Path) -> None:
    html = page.write(six, tmp_path / "lr.html", figure_name="lr").read_text(encoding="utf-8")
    tags = outline(html)
    assert [a["data-figure"] for tag, a in tags if tag == "figure"] == ["lr"]
    assert "table" not in {tag for tag, _ in tags}
    with pytest.raises(InputError, match="--figure lrs: no such figure"):
        page.figure(six, "lrs")


@pytest.mark.parametrize("kind", ["six", "regression", "lost"])
def test_pages_of_all_kinds_are_well_formed(kind: str, request: pytest.FixtureRequest) -> None:
    html = page.report(request.getfixturevalue(kind)).decode()
    for tag in ("figure", "section", "table", "thead", "tbody", "svg", "details", "script", "div"):
        body = html.replace(page.plotly_js().decode(), "")
        assert len(re.findall(rf"<{tag}[\s>]", body)) == body.count(f"</{tag}>"), tag
    assert "nan" not in re.findall(r"<td[^>]*>([^<]*)</td>", html)


def test_it_is_quick_and_needs_neither_torch_nor_plotlys_python(six: Results) -> None:
    page.report(six)
    start = time.process_time()
    page.report(six)
    # 0.1 s on a quiet machine; the bound is for a busy one.
    assert time.process_time() - start < 1.5
    code = (
        "import sys, ravine.report; assert not {'torch', 'plotly', 'pandas'} & set(sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_at_unequal_budgets_the_best_of_all_stands_beside_the_chosen(make: Make, tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    wide = [{"lr": 10 ** (-4 + k / 3)} for k in range(9)]
    fill(store, rules=("sgd", "adam"), draws={"sgd": wide[:2], "adam": wide})
    results = Results.load(store, "digits-rules")
    adam = next(result for result in results.verdict.rules if result.rule == "adam")
    assert adam.config != adam.best_config
    run = next(run for run in results.runs if run.config == adam.best_config)
    words = beside(results.verdict.measure, adam, results.runs)
    assert words.startswith(f"best of all 9: lr {run.hypers['lr']:.6g}, validation ")
    assert words in page.report(results).decode()
    assert words in shown(terminal.verdict(results))
    assert f"adam  {words}\n" in str(results)
    assert any(
        "the best of all that adam tried is listed with the rule's name" in note for note in results.warnings
    )


def shown(renderable: RenderableType) -> str:
    console = Console(file=io.StringIO(), width=200, color_system=None)
    console.print(renderable)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0213, "21 ms"),
        (4.93, "4.9 s"),
        (99.94, "99.9 s"),
        (99.96, "1 min 40 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (None, "–"),
    ],
)
def test_durations(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


def test_notes_on_the_data_stand_with_the_study_and_are_escaped(make: Make) -> None:
    html = page.report(make(rules=("sgd",), lrs=(1e-2,), notes=("column '<b>': 2 cells became 0",))).decode()
    assert "<li>column &#39;&lt;b&gt;&#39;: 2 cells became 0</li>" in html
    assert html.index("What was done with the data") < html.index("The study file")
    assert "What was done with the data" not in page.report(make(rules=("sgd",), lrs=(1e-2,))).decode()


def test_how_it_was_made_is_said_of_the_launch_that_trained(make: Make) -> None:
    results = make(rules=("sgd",), lrs=(1e-2,))
    facts = {"versions": {}, "plan": "nothing to train: the store had all runs"}
    results.source.launches.begin(results.name, command="ravine run digits.toml", hardware={}, **facts)
    html = page.report(Results.load(results.source, results.name)).decode()
    assert "<dt>processor</dt><dd>AMD EPYC 7R13</dd>" in html
    assert "nothing to train" in html


def test_memory_is_in_words(make: Make) -> None:
    results = make(rules=("sgd",), lrs=(1e-2,))
    hardware = {"processor": "x", "memory_gib": 8}
    results.source.launches.begin(results.name, command="c", hardware=hardware, versions={}, plan="p")
    html = page.report(Results.load(results.source, results.name)).decode()
    assert "<dt>memory</dt><dd>8 GiB</dd>" in html
    assert "memory_gib" not in html
