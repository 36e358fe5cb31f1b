"""One name for one thing, in the words of the field: no class and no type alias is defined in two modules."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.support.source_trees import nodes_of, tree_of

PACKAGE = Path(__file__).parents[2] / "gateway"


def defined_names(path: Path) -> set[str]:
    """Classes and type aliases at the top of a module, private ones included."""
    names: set[str] = set()
    for node in tree_of(path).body:
        if isinstance(node, ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {each.id for each in node.targets if isinstance(each, ast.Name) and is_of_type(each.id)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and is_of_type(node.target.id):
            names.add(node.target.id)
    return names


def is_of_type(name: str) -> bool:
    """True for names in capitalised words."""
    bare = name.lstrip("_")
    return bare[:1].isupper() and not bare.isupper()


def test_no_name_means_two_things() -> None:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for name in defined_names(path):
            places[name].append(str(path.relative_to(PACKAGE)))
    assert len(places) > 900
    assert {name: modules for name, modules in places.items() if len(modules) > 1} == {}


FORMER_WORDS = {
    *("ask", "asked", "asks", "asking", "tell", "tells", "told", "telling", "hear", "heard", "hears"),
    *("desk", "basket", "whoever", "nobody", "whereabouts", "veil", "veiled", "mailbox", "mourn", "inquirer"),
}
"""Words of a former vocabulary: a query is queried, an event logged, a response received."""
STREAM_METHODS = frozenset({"tell"})
"""Methods of a binary stream of Python, in `gateway.dataset.frames`."""


def words_of(name: str) -> set[str]:
    """The words of a name in small letters."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)}


def names_in(path: Path) -> Iterator[str]:
    """Names that a module defines: classes, functions, arguments, attributes and variables."""
    for node in nodes_of(path):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def test_names_are_words_of_the_field() -> None:
    found = {
        f"{path.relative_to(PACKAGE)}: {name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for name in (path.stem, *names_in(path))
        if words_of(name) & FORMER_WORDS and name not in STREAM_METHODS
    }
    assert sorted(found) == []


RIDDLE = re.compile(r"(?:What|Who|Whoever|Whose|Of|Nobody|Nothing|In here)\b")
"""An opening that hides the subject."""


def docstrings_in(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of the docstrings of modules, classes, functions and attributes."""
    for node in nodes_of(path):
        for statement in getattr(node, "body", ()) if not isinstance(node, ast.Lambda | ast.IfExp) else ():
            value = statement.value if isinstance(statement, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield statement.lineno, value.value


def test_docstrings_open_with_their_subject() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {text.strip()[:60]}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, text in docstrings_in(path)
        if RIDDLE.match(text.strip())
    ]
    assert found == []


FULL_STOP = re.compile(r"(?<=[a-z`)])\. ")


def said_twice(text: str) -> list[str]:
    """Sentences of more than three words that stand in a text more than once."""
    sentences = [sentence.strip(" .") for sentence in FULL_STOP.split(" ".join(text.split()))]
    return [one for one in dict.fromkeys(sentences) if len(one.split()) > 3 and sentences.count(one) > 1]


def test_no_docstring_says_a_sentence_twice() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {sentence}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, text in docstrings_in(path)
        for sentence in said_twice(text)
    ]
    assert found == []


def test_a_sentence_that_stands_twice_is_found() -> None:
    assert said_twice("Runs in a loop alone. Short.\n\nRuns in a loop\nalone. Short.") == ["Runs in a loop alone"]
