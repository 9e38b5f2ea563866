"""The blocks of a page, one after another in a folder of its own, in this process where that is possible."""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from loosely import missing
from page_blocks import ROOT, Block

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "optional-dependencies"
]
HOME = "/home/you/study"  # what pages call the folder in which their commands are run
_DOCTEST = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Page:
    """What the blocks of one page leave behind for the next ones: files, Python names, output.

    Args:
        folder: an empty folder, in which they are run; gets the project's `examples`.
        slow: whether blocks that take long are run too.
    """

    def __init__(self, folder: Path, *, slow: bool = False) -> None:
        (folder / "examples").symlink_to(ROOT / "examples")
        self.root = self.folder = folder
        self.slow = slow
        self.names: dict[str, object] = {"__name__": "__main__"}
        self.printed: str | None = None  # None: the block was not run

    def run(self, block: Block) -> None:
        """Carry out a block, or compare the output before it with it.

        Raises:
            AssertionError: it does something else than the page says.
        """
        where = f"{block.page}:{block.line}"
        if block.title == "Output":
            if self.printed is not None:
                share = 0.5 if "varies" in block.marks else 1.0
                wrong = missing(block.text, self.printed, share=share)
                assert not wrong, f"{where}: printed:\n{self.printed}\ndifference:\n" + "\n".join(wrong)
            return
        if block.language in ("", "text"):
            return
        self.printed = None
        if block.is_slow and not self.slow:
            return
        if block.language == "toml":
            self._toml(block)
        if block.title:
            path = self.folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
            return
        if not block.is_run:
            return
        if block.language == "sh":
            printed = "".join(self._command(line, block) for line in commands(block.text))
            self.printed = printed.replace(str(self.root), HOME)
        elif block.language == "python":
            self.printed = self._python(block)

    def _toml(self, block: Block) -> None:
        """A study must be one; a fragment must be TOML."""
        from ravine.study import parse_definition

        found = tomllib.loads(block.text)
        if {"name", "data", "model", "rules"} <= found.keys():
            parse_definition(block.text, search=self.folder)

    def _python(self, block: Block) -> str:
        if block.text.startswith(">>>"):
            return self._session(block)
        with self._inside() as printed:
            lines = "\n" * block.line  # so that a traceback names the page's line
            exec(compile(lines + block.text, str(ROOT / block.page), "exec"), self.names)
        return printed.getvalue()

    def _session(self, block: Block) -> str:
        test = doctest.DocTestParser().get_doctest(block.text, self.names, block.page, block.page, block.line)
        said = io.StringIO()
        with self._inside():
            runner = doctest.DocTestRunner(optionflags=_DOCTEST)
            runner.run(test, out=said.write, clear_globs=False)
        self.names.update(test.globs)
        assert not runner.failures, said.getvalue()
        return ""

    def _command(self, command: str, block: Block) -> str:
        words = shlex.split(command, comments=True)
        where = f"{block.page}:{block.line}: {command}"
        if words[0] == "cd":
            self.folder = self.folder / words[1]
            return ""
        if checked_only(words, where):
            return ""
        if words[0] == "ravine" and not set(command) & set("|><&;$"):
            code, printed = self._ravine(words[1:])
        elif words[0] == "python" and words[1].endswith(".py"):
            code, printed = 0, self._script(words[1:])
        else:
            path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
            done = subprocess.run(
                ["bash", "-ec", command],
                cwd=self.folder,
                env={**os.environ, "PATH": path},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=600,
                check=False,
            )
            code, printed = done.returncode, done.stdout
        assert code == block.exit_code, f"{where}: exit code {code}\n{printed}"
        return printed

    def _ravine(self, words: list[str]) -> tuple[int, str]:
        from ravine.cli import main

        with self._inside() as printed:
            try:
                code = main(words)
            except SystemExit as stopped:  # after --help
                code = int(stopped.code or 0)
        return code, printed.getvalue()

    def _script(self, words: list[str]) -> str:
        with self._inside() as printed:
            sys.argv = words
            runpy.run_path(words[0], run_name="__main__")
        return printed.getvalue()

    @contextlib.contextmanager
    def _inside(self) -> Iterator[io.StringIO]:
        """Within it, the working directory, `import` and printing are those of a shell in the page's folder."""
        printed = io.StringIO()
        argv, path, modules = sys.argv, sys.path[:], set(sys.modules)
        width = os.environ.pop("COLUMNS", None)  # a worker of xdist has one; a shell's is not exported
        sys.path.insert(0, str(self.folder))
        try:
            with (
                contextlib.chdir(self.folder),
                contextlib.redirect_stdout(printed),
                contextlib.redirect_stderr(printed),
            ):
                yield printed
        finally:
            sys.argv, sys.path[:] = argv, path
            if width is not None:
                os.environ["COLUMNS"] = width
            for name in set(sys.modules) - modules:
                if str(getattr(sys.modules[name], "__file__", "")).startswith(str(self.folder)):
                    del sys.modules[name]


def commands(text: str) -> list[str]:
    """The commands of a shell block; a backslash continues a line, a comment is none.

    Example:
        >>> commands("# one\\nravine list \\\\\\n  --json\\n\\nls  # two\\n")
        ['ravine list --json', 'ls  # two']
    """
    lines = re.sub(r" *\\\n *", " ", text).splitlines()
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def checked_only(words: Sequence[str], where: str) -> bool:
    """Whether a command installs, or is one for developers: then what it names must be there, and it is not run."""
    if words[0] == "pip":
        assert words[1] == "install", where
        for extra in re.findall(r"\[([\w,]+)\]", " ".join(words)):
            assert set(extra.split(",")) <= EXTRAS.keys(), f"{where}: no such extra"
        return True
    if words[0].startswith("scripts/"):
        assert os.access(ROOT / words[0], os.X_OK), where
        assert words[0] != "scripts/bench" or (ROOT / "benchmarks" / f"{words[1]}.py").exists(), where
        return True
    if words[0] == "python" and words[1].startswith("benchmarks/"):
        assert (ROOT / words[1]).exists(), where
        return True
    return words[0] in ("git", "source")
