"""docs/rules.md says of every rule what the registry says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from ravine.rules import KINDS, REGULARIZERS, preset, shaped

PAGE = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
ROWS = {
    kind: cells
    for kind, *cells in re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?)\|(.*?)\|$", PAGE, re.MULTILINE)
    if "byte" in cells[0]
}
SECTIONS = {
    kind: text
    for heading, text in re.findall(r"^## (.*?)\n(.*?)(?=^#)", PAGE, re.MULTILINE | re.DOTALL)
    for kind in heading.split(", ")
}
FLOAT32 = 4  # bytes


def numbers(cell: str) -> dict[str, float]:
    """Hypers of a cell; after "as adam", Adam's among them.

    Example:
        >>> numbers("rho 0.9, eps 1e-7")
        {'rho': 0.9, 'eps': 1e-07}
    """
    found: dict[str, float] = {}
    for word in filter(None, (part.strip() for part in cell.split(","))):
        name, value = word.split(" ")
        if name == "as":
            found.update(numbers(ROWS[value][1]))
        else:
            found[name] = float(value)
    return found


def test_the_table_has_every_rule_and_no_other() -> None:
    assert set(ROWS) == set(KINDS)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_bytes_per_parameter_are_what_init_keeps(kind: str) -> None:
    """History, and P for a matrix of P x P, are in the table's formula."""
    param = torch.ones(1, 30)
    slots = shaped(kind, {"history": 10.0}).init(param).values()
    numbers_kept = sum(slot.numel() for slot in slots if slot.dim() > 0 and slot.numel() > 1)
    told = re.match(r"(\d+)(?: \+ (\d+) (history|P))? bytes", ROWS[kind][0])
    assert told is not None
    more = {"history": 10, "P": 30, None: 0}[told[3]]
    shared = numbers_kept - numbers_kept // 30 * 30  # a number for each pair of a history, whatever P is
    assert (numbers_kept - shared) / 30 * FLOAT32 == int(told[1]) + int(told[2] or 0) * more


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_defaults_are_the_registrys(kind: str) -> None:
    hypers = KINDS[kind].all_hypers
    assert numbers(ROWS[kind][1]) == {
        name: hyper.default for name, hyper in hypers.items() if hyper.default is not None
    }


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_torch_presets_are_the_registrys(kind: str) -> None:
    cell = ROWS[kind][2].strip()
    named, found = preset(kind, "torch")
    became = re.fullmatch(r"becomes `(\w+)`", cell)
    if became:
        assert named == became[1] != kind
        return
    assert named == kind
    lecture = {name: hyper.default for name, hyper in KINDS[kind].all_hypers.items()}
    assert numbers(cell) == {name: value for name, value in found.items() if value != lecture[name]}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_rule_has_a_section_with_formula_when_and_source(kind: str) -> None:
    assert kind in SECTIONS, f"docs/rules.md: no section '## {kind}'"
    section = SECTIONS[kind]
    formula = "\n".join(re.findall(r"^    .*$", section, re.MULTILINE))
    assert "x <-" in formula or "x~ <-" in formula, f"{kind}: no indented formula that ends in x <- ..."
    when = re.search(r"^\*\*When\*\*: (.+?)(?:\n\n|\Z)", section, re.MULTILINE | re.DOTALL)
    assert when is not None, f"{kind}: no paragraph '**When**: ...' that says when to choose it"
    assert len(when[1].split()) >= 8
    sources = " ".join(re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", section))
    for source in KINDS[kind].source.split("; "):
        author, year = re.match(r"(?:.*: )?([A-Z][\w-]+)", source), re.search(r"\b[12]\d{3}\b", source)
        assert author is not None
        assert year is not None
        told = re.search(rf"{author[1]}[^;]*{year[0]}", sources)
        assert told, f"{kind}: the section does not name {author[1]} ..., {year[0]} in *italics*"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_hyper_is_in_the_section_or_the_table(kind: str) -> None:
    """By its name or, where the formula has another letter for it, beside that letter; lr is everyone's."""
    for name in KINDS[kind].all_hypers:
        assert name == "lr" or name in numbers(ROWS[kind][1]) or re.search(rf"\b{name}\b", SECTIONS[kind])


def test_every_penalty_is_in_the_second_table() -> None:
    second = PAGE.split("# Penalties on the weights")[1]
    for name in REGULARIZERS:
        assert re.search(rf"^\| `{name}` \|", second, re.MULTILINE)
