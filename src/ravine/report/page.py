"""The report as one HTML file that asks no network for anything.

Plotly's JavaScript is put into the page once. A content security policy admits exactly the two scripts
that were put there, by their hashes, and no address at all: whatever a name in a study contains, it can't run.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import importlib.util
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ravine.errors import InputError, RavineError
from ravine.outcomes.results import Results
from ravine.report.body import figures_body, report_body
from ravine.report.draw_range import draw_range
from ravine.report.figures import figure as one_figure
from ravine.report.figures import figures as all_figures
from ravine.report.html import Html, fill
from ravine.report.views import Figure
from ravine.version import version
from ravine.whole_file import write_whole

if TYPE_CHECKING:
    from ravine.launch.lr_range import LrRange

# Where plotly's bytes go. No text of a study can be taken for it: its < is escaped.
_PLOTLY = "<plotly>"
TEMPLATES = importlib.resources.files("ravine.report") / "templates"


def report(results: Results) -> bytes:
    """The whole report, as HTML in UTF-8."""
    figures = all_figures(results)
    return render(results.name, report_body(results, figures), figures)


def figure(results: Results, name: str) -> bytes:
    """One figure on a page of its own, as HTML in UTF-8.

    Args:
        results: the study.
        name: one of `figures.FIGURES`, `figures.POOLED` or `figures.LADDER`.

    Raises:
        InputError: there is no figure of that name.
    """
    drawn = one_figure(results, name)
    return figure_page([drawn], title=drawn.title, name=results.name)


def range_test(findings: Sequence[LrRange], name: str, command: str) -> bytes:
    """The figure of a learning-rate range test on a page of its own, as HTML in UTF-8.

    Args:
        findings: of the rules.
        name: of the study.
        command: what makes it again.
    """
    drawn = draw_range(findings, command)
    return figure_page([drawn], title=drawn.title, name=name)


def figure_page(
    figures: Sequence[Figure],
    *,
    title: str,
    name: str,
    tables: Mapping[str, Any] | None = None,
    warnings: Sequence[str] = (),
) -> bytes:
    """Some figures on a page of their own, as HTML in UTF-8.

    Args:
        figures: in the order in which they are read.
        title: of the page.
        name: of the study.
        tables: by a figure's name, the table below it: "columns" and "rows" of texts.
        warnings: what is to be read first.
    """
    body = figures_body(figures, title=title, name=name, tables=tables or {}, warnings=warnings)
    return render(name, body, figures)


def write(results: Results, path: str | Path, *, figure_name: str | None = None) -> Path:
    """Write the report, or one figure of it, to a file: complete, or not at all.

    Args:
        results: the study.
        path: the HTML file; an existing one is replaced.
        figure_name: one figure only.

    Returns:
        The path.

    Raises:
        InputError: there is no such figure, or the file can't be written.
    """
    check_page(path)
    html = report(results) if figure_name is None else figure(results, figure_name)
    return save(html, path)


def check_page(path: str | Path, what: str = "") -> None:
    """Refuse a name that is none of a page's.

    Args:
        path: the file.
        what: the option that names it.

    Raises:
        InputError: it ends otherwise than in .html or .htm.
    """
    about = f"{what} {path}" if what else f"{str(path)!r}"
    if not Path(path).name:
        raise InputError(f"{about}: is not the name of a file")
    if Path(path).suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{about}: a page must end in .html")


def save(content: str | bytes, path: str | Path) -> Path:
    """Write a page, or a picture, to a file: complete, or not at all.

    Raises:
        InputError: the file can't be written.
    """
    path = Path(path)
    write_whole(path, content.encode() if isinstance(content, str) else content)
    return path


def embed(value: Any) -> Html:
    """JSON for a script element: nothing in it can end the element or begin a comment."""
    dumped = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    for character in ("<", ">", "&", "\u2028", "\u2029"):
        dumped = dumped.replace(character, f"\\u{ord(character):04x}")
    return Html(dumped)  # escaped just above


@lru_cache(maxsize=1)
def plotly_js() -> bytes:
    """Plotly's JavaScript, out of its package's data; importing plotly for it would cost more than that.

    It stays bytes: as a text, its five megabytes would take longer to decode and encode than all else on the page.
    """
    spec = importlib.util.find_spec("plotly")
    places = spec.submodule_search_locations if spec else None
    found = [Path(place) / "package_data" / "plotly.min.js" for place in places or ()]
    for path in found:
        if path.is_file():
            script = path.read_bytes()
            # As a browser reads it, and so hashes it. Replacing nothing would copy it all the same.
            return script.replace(b"\r\n", b"\n") if b"\r" in script else script
    raise RavineError("plotly's JavaScript is missing; `pip install plotly` installs it")


def _asset(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def policy(scripts: Sequence[bytes]) -> str:
    """A content security policy that admits these scripts and no address at all."""
    hashes = [base64.b64encode(hashlib.sha256(script).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{value}'" for value in hashes)
    # Plotly sets styles from JavaScript, and makes images of figures through data: and blob: addresses.
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:;"
        " base-uri 'none'; form-action 'none'"
    )


def render(name: str, body: Html, figures: Sequence[Figure]) -> bytes:
    """A page with a body and the figures in it, as HTML in UTF-8."""
    script = _asset("report.js")
    page = fill(
        _asset("report.html"),
        policy=policy([plotly_js(), script.encode()]),
        version=version(),
        name=name,
        css=Html(_asset("report.css")),
        body=body,
        payload=embed([each.json() for each in figures]),
        plotly=Html(_PLOTLY),
        script=Html(script),
    )
    before, _, after = page.rpartition(_PLOTLY)
    return b"".join((before.encode(), plotly_js(), after.encode()))
