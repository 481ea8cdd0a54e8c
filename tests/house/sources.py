"""The project's own sources as syntax trees: functions with their measures, constants with their SQL, imports."""

import ast
import functools
import importlib
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "src" / "colonnade"

Function = ast.FunctionDef | ast.AsyncFunctionDef
_BLOCKS: Final = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)
_FREE: Final = {"self", "cls", "tx", "caller"}
"""Who acts, and in which transaction, is not counted: every verb has both."""

SQL: Final = re.compile(r"\s*(with|select|insert into|update|delete from)\s")


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One file."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        """Its path below the package, as lists in tests name it."""
        return self.path.relative_to(PACKAGE).as_posix() if self.path.is_relative_to(PACKAGE) else self.path.name

    @property
    def module(self) -> str:
        """Its dotted name."""
        parts = self.path.relative_to(PACKAGE.parent).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def functions(self) -> Iterator[tuple[str, Function]]:
        """Every function, also those inside of others, with the name that a reader would give it."""
        yield from _functions(self.tree, "")

    def verbs(self) -> Iterator[tuple[str, Function]]:
        """The functions at the top of the file that others may call."""
        for node in self.tree.body:
            if isinstance(node, Function) and not node.name.startswith("_"):
                yield node.name, node


def _functions(node: ast.AST, inside: str) -> Iterator[tuple[str, Function]]:
    for child in ast.iter_child_nodes(node):
        named = f"{inside}{child.name}" if isinstance(child, (*_FUNCTIONS, ast.ClassDef)) else inside.rstrip(".")
        if isinstance(child, _FUNCTIONS):
            yield named, child
        yield from _functions(child, f"{named}." if named else "")


_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)


@functools.cache
def sources(folder: Path = PACKAGE) -> tuple[Source, ...]:
    """Every Python file of ours below the folder: what lies in hidden folders was installed there."""
    found = {path: path.relative_to(folder).parts for path in folder.rglob("*.py")}
    paths = sorted(path for path, parts in found.items() if not any(p.startswith((".", "__")) for p in parts[:-1]))
    texts = [path.read_text("utf-8") for path in paths]
    return tuple(Source(path, text, ast.parse(text)) for path, text in zip(paths, texts, strict=True))


def length(function: Function) -> int:
    """Its lines, from `def` to the end, without its docstring."""
    assert function.end_lineno is not None
    first = function.body[0]
    is_docstring = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    docstring = (first.end_lineno or first.lineno) - first.lineno + 1 if is_docstring else 0
    return function.end_lineno - function.lineno + 1 - docstring


def depth(node: ast.AST) -> int:
    """How many blocks stand inside one another; an `elif` and a function inside are no deeper."""
    return max((_depth_of(child, node) for child in ast.iter_child_nodes(node)), default=0)


def _depth_of(child: ast.AST, parent: ast.AST) -> int:
    if isinstance(child, (*_FUNCTIONS, ast.ClassDef, ast.Lambda)):
        return 0
    is_elif = isinstance(child, ast.If) and isinstance(parent, ast.If) and parent.orelse == [child]
    return depth(child) + (isinstance(child, _BLOCKS) and not is_elif)


def arguments(function: Function) -> list[str]:
    """The names of what it takes besides who acts and in which transaction."""
    taken = function.args
    every = [*taken.posonlyargs, *taken.args, *taken.kwonlyargs]
    return [one.arg for one in every if one.arg not in _FREE]


@functools.cache
def sql_texts(source: Source) -> tuple[tuple[int, str], ...]:
    """Every SQL statement that is written in the file, with its line, and with the constants put in that it is made of.

    What is known only at run time (the names of an order, say) is left out of it.
    """
    inside = {id(part) for node in ast.walk(source.tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    nodes = [node for node in ast.walk(source.tree) if isinstance(node, ast.Constant | ast.JoinedStr)]
    if not any(isinstance(node, ast.Constant) and SQL.match(_text(node, {})) for node in nodes):
        return ()  # Not even imported: other files may load much, or what is not installed.
    names = vars(importlib.import_module(source.module))
    texts = ((node.lineno, _text(node, names)) for node in nodes if id(node) not in inside)
    return tuple((line, text) for line, text in texts if SQL.match(text))


def _text(node: ast.Constant | ast.JoinedStr, names: Mapping[str, Any]) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    return "".join(str(part.value) if isinstance(part, ast.Constant) else _known(part, names) for part in node.values)


def _known(part: ast.expr, names: Mapping[str, Any]) -> str:
    assert isinstance(part, ast.FormattedValue)
    value = names.get(part.value.id) if isinstance(part.value, ast.Name) else None
    if isinstance(part.value, ast.Attribute) and isinstance(part.value.value, ast.Name):
        value = getattr(names.get(part.value.value.id), part.value.attr, None)
    return value if isinstance(value, str) else ""


def tracked() -> list[Path]:
    """Every file that is kept in the repository, or would be with the next commit."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
