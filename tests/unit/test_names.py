"""One name for one thing: no class and no type alias of `gateway/` is defined in two modules."""

import ast
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "gateway"


def defined_names(path: Path) -> set[str]:
    """Classes and type aliases at the top of a module, private ones included."""
    names: set[str] = set()
    for node in ast.parse(path.read_text("utf-8")).body:
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
