"""Syntax trees of Python files, parsed once a process: several tests read all of them."""

from __future__ import annotations

import ast
import gc
from functools import cache
from pathlib import Path


@cache
def tree_of(path: Path) -> ast.Module:
    """The syntax tree of the file at `path`; not to be changed."""
    was_enabled = gc.isenabled()
    gc.disable()  # the trees of all files are a million objects; looking through them takes longer than parsing
    try:
        return ast.parse(path.read_text("utf-8"))
    finally:
        if was_enabled:
            gc.enable()


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """Every node of the tree, as `ast.walk` gives them."""
    return tuple(ast.walk(tree_of(path)))


def files_with(folder: Path, word: str) -> list[Path]:
    """The Python files below `folder` whose text has `word`, in order; the others need not be parsed to look for it."""
    return [path for path in sorted(folder.rglob("*.py")) if word in path.read_text("utf-8")]
