"""Files of at most 400 lines and functions of at most 40."""

import ast
from pathlib import Path

from tests.support.source_trees import nodes_of

PACKAGE = Path(__file__).parents[2] / "gateway"
MOST_LINES_OF_FILE, MOST_LINES_OF_FUNCTION = 400, 40

TABLES = {"metrics.py"}
"""Rows, with no code worth counting: a metric each."""


def long_files() -> set[str]:
    return {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if len(path.read_text("utf-8").splitlines()) > MOST_LINES_OF_FILE
    }


def long_functions() -> set[str]:
    """Counted from `def` to the last line, the docstring left out."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in nodes_of(path):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            first = node.body[0]
            is_documented = ast.get_docstring(node, clean=False) is not None
            docstring_lines = (first.end_lineno or 0) - first.lineno + 1 if is_documented else 0
            if (node.end_lineno or 0) - node.lineno + 1 - docstring_lines > MOST_LINES_OF_FUNCTION:
                found.add(f"{path.relative_to(PACKAGE)}:{node.name}")
    return found


def test_files_are_short() -> None:
    assert long_files() == TABLES


def test_functions_are_short() -> None:
    assert long_functions() == set()
