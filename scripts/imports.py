"""Fails on import circles between files, and on imports inside functions that no reason is recorded for.

Every import counts for a circle: lazy ones and those for the type checker too. A circle means that two files are one
idea, or that a third one is missing.
"""

from __future__ import annotations

import ast
import sys
from fnmatch import fnmatch
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp

SRC = Path(__file__).parents[1] / "src"

# Who may import what inside a function, and why. Both are patterns.
LAZY: dict[tuple[str, str], str] = {
    ("ravine.cli.*", "ravine.*"): "a verb imports what it needs, so that --help and `list` start at once",
    ("ravine.cli.*", "dataclasses"): "start-up time of the other verbs",
    ("ravine.*", "rich.*"): "start-up time of `--json` and of `import ravine`",
    (
        "ravine.api.estimators.estimator",
        "ravine.api.estimators.fitting",
    ): "imports PyTorch, after the examples were checked",
    ("ravine.api.*", "ravine.launch*"): "imports PyTorch, after the study was found sound",
    ("ravine.api.*", "ravine.features.*"): "imports PyTorch, after the arguments were found right",
    ("ravine.api.*", "ravine.averages.*"): "imports PyTorch, after the arguments were found right",
    ("ravine.api.*", "ravine.soups.*"): "imports PyTorch, after the arguments were found right",
    ("ravine.api.*", "ravine.landscapes.*"): "imports PyTorch, after the arguments were found right",
    ("ravine.api.*", "ravine.predictors.*"): "imports PyTorch, after the arguments were found right",
    ("ravine.api.*", "ravine.report.*"): "start-up time: progress and pages are not always wanted",
    (
        "ravine.api.*",
        "ravine.outcomes",
    ): "a verdict is about runs that have been trained: training begins without it",
    ("ravine.api.run", "ravine.api.metric"): "likewise",
    (
        "ravine.launch.stages",
        "ravine.outcomes.*",
    ): "only a study of two stages needs a verdict before it trains",
    ("ravine.launch.stages", "ravine.verdict"): "likewise",
    ("ravine.data.load", "ravine.data.*"): "a reader is imported for its own kind of source",
    ("ravine.data.fashion", "urllib.*"): "only a download needs it",
    (
        "ravine.features.optimum",
        "scipy.optimize",
    ): "start-up time: only whoever asks for the optimum needs it",
    ("ravine.backbones.*", "timm*"): "an extra; only its models need it",
    ("ravine.backbones.*", "transformers*"): "an extra; only its models need it",
    ("ravine.backbones.*", "huggingface_hub*"): "an extra; only the hub's files need it",
    ("ravine.*", "PIL*"): "an extra; only pictures need it",
    ("ravine.data.*", "pyarrow*"): "an extra; only Parquet needs it",
    ("ravine.predictors.graph.door", "ravine.predictors.graph"): "an extra; only graphs need it",
    ("ravine.outcomes.framed", "pandas"): "only those who ask for its frames need it",
    ("ravine.outcomes.framed", "polars"): "only those who ask for its frames need it",
    ("ravine.predictors.rows", "pyarrow*"): "an extra; only Parquet needs it",
    ("ravine.predictors.choice", "ravine.soups.*"): "imports PyTorch, which no other choice needs",
    ("ravine.predictors.*", "safetensors*"): "start-up time where no weights are read or written",
    ("ravine.store.bodies", "safetensors*"): "start-up time where no frozen weights are read",
    ("ravine.store.blocks", "safetensors*"): "start-up time where no block is read",
    (
        "ravine.grid",
        "html",
    ): "start-up time: it has a table of two thousand entities, and only notebooks need it",
    ("ravine.ensembles.screen", "ravine.native.machine"): "start-up time: only greedy selection needs LLVM",
    ("ravine.host_memory", "resource"): "Windows has none",
    ("ravine.store.file_lock", "fcntl"): "Windows has none",
    ("ravine.store.file_lock", "msvcrt"): "only Windows has it",
    (
        "ravine.engine.traced.tracing",
        "torch._inductor",
    ): "PyTorch's compiler takes a second",
    ("ravine.launch.machine", "torch"): "PyTorch is imported by then, or its version is not asked for",
    ("ravine.nn.target", "torch"): "a study is read without PyTorch",
    ("ravine.rules.own", "ravine.rules.rehearsal"): "imports PyTorch, which only a rule that is new needs",
    ("ravine.nn.provenance", "torch"): "a study is read without PyTorch",
    ("ravine.surfaces.*", "torch"): "a surface's formula is read without PyTorch",
    ("ravine.surfaces.newton", "ravine.second.dense"): "imports PyTorch",
    (
        "ravine.report.figures",
        "ravine.report.draw_sharpness",
    ): "start-up time: most studies have none measured",
    ("ravine.report.landscape", "ravine.report*"): "pictures need an extra",
    ("ravine.report.surface", "ravine.report*"): "pictures need an extra",
}


def circles() -> list[frozenset[str]]:
    """Groups of files that import each other."""
    graph = grimp.build_graph("ravine", cache_dir=None)
    imports = {name: set(graph.find_modules_directly_imported_by(name)) for name in graph.modules}
    found: list[frozenset[str]] = []
    while True:
        try:
            TopologicalSorter(imports).prepare()
            return found
        except CycleError as error:
            start = error.args[1][0]
            group = frozenset(
                _reached(start, imports) & {n for n in imports if start in _reached(n, imports)}
            )
            found.append(group)
            for name in group:
                imports[name] -= group


def _reached(start: str, imports: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        new = imports[waiting.pop()] - seen
        seen |= new
        waiting += new
    return seen


def lazy() -> list[tuple[str, str, int]]:
    """Imports inside functions: the file's module, what it imports, and the line."""
    found = []
    for path in sorted(SRC.rglob("*.py")):
        module = ".".join(path.relative_to(SRC).with_suffix("").parts)
        functions = [
            node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)
        ]
        nodes = {node for function in functions for node in ast.walk(function)}
        for node in nodes:
            if isinstance(node, ast.ImportFrom):
                found.append((module, str(node.module), node.lineno))
            elif isinstance(node, ast.Import):
                found += [(module, alias.name, node.lineno) for alias in node.names]
    return sorted(found)


def main() -> int:
    """Print what is wrong; 1 if anything is."""
    faults = [f"import circle: {', '.join(sorted(group))}" for group in circles()]
    found = lazy()
    used = set()
    for module, imported, line in found:
        reasons = [pair for pair in LAZY if fnmatch(module, pair[0]) and fnmatch(imported, pair[1])]
        used.update(reasons)
        if not reasons:
            faults.append(
                f"{module}:{line}: imports {imported} inside a function; scripts/imports.py has no reason"
            )
    faults += [
        f"scripts/imports.py: no file imports {pair[1]} in {pair[0]} any more" for pair in LAZY.keys() - used
    ]
    print("\n".join(faults) or f"no import circles; {len(found)} lazy imports, each with a reason")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
