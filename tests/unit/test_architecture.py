"""Imports point down, and each third-party library lives where the design says."""

import ast
from pathlib import Path

import pytest

from tests.support.source_trees import nodes_of

PACKAGE = Path(__file__).parents[2] / "gateway"

LAYERS = [
    {"common"},
    {"model"},
    {"ports"},
    {"leniency", "object_log", "forms"},
    {"routing", "dataset", "spool", "network", "identity", "certificates", "metric_series"},
    {"query", "sending"},  # above `dataset`, whose values it compares; below `queue`, which does the same in SQL
    {"intake", "relational", "cluster"},  # the first knows no protocol, the others no database
    {
        "web",
        "dimse",
        "handlers",
        "delivery",
        "sources",
        "retrieve",
        "config",
        "conversion",
        "destinations",
        "sqlite",
        "postgresql",
        "objects",
        "metrics",
    },
    {"stores"},
    {"lifecycle", "scu", "rehearsal", "repair", "operations"},
    {"doctor", "migration"},
    {"app"},
    {"cli", "demo"},
    {"__main__"},
]
"""From the bottom up; a part imports only parts of lower layers, or what `SIDEWAYS` allows."""

SIDEWAYS = {
    ("routing", "dataset"),  # rules are decided on scanned bytes
    ("handlers", "dimse"),  # a handler speaks of events
    ("destinations", "dimse"),  # the DICOM destination is a requestor
    ("config", "destinations"),  # a folder is checked and made as its kind
    ("sources", "dimse"),  # sources are asked as a requestor
    ("handlers", "sources"),  # a handler passes questions on
    ("retrieve", "dimse"),  # what is sent is told in the engine's words, and sources are asked as a requestor
    ("retrieve", "delivery"),  # actions on a stored object are done in one way
    ("retrieve", "sources"),  # what is not here is fetched from the sources that have it
    ("handlers", "retrieve"),
    ("operations", "lifecycle"),  # the status names the conditions of a running gateway
    ("cli", "demo"),
}

HOMES = {
    "yaml": {"config"},
    "jsonschema": {"config"},
    "msgspec": {"config", "relational", "spool"},  # nodes of the YAML; rows and notes for the queue
    "pynetdicom": {"dimse", "handlers", "demo"},
    "pydicom": {"dimse", "handlers", "routing", "dataset", "config", "destinations", "sending", "cli", "demo"},
    "apsw": {"sqlite"},
    "psycopg": {"postgresql"},
    "obstore": {"objects"},
    "xxhash": {"spool"},
    "blake3": {"spool"},
    "numpy": {"dataset"},  # in `frames` alone, which only worker processes import
    "gdcm": {"dataset"},
    "jinja2": {"routing", "destinations"},
    "re2": {"routing"},
    "click": {"cli"},
    "argon2": {"identity"},
    "jwt": {"identity"},
    "cryptography": {"certificates", "identity"},
    "prometheus_client": {"metrics", "metric_series"},
    "aiohttp": {"web", "cli"},
}


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            names.add(node.module or "")
            if node.module == "gateway":
                names |= {f"gateway.{alias.name}" for alias in node.names}
    return names


ABOUT_SQLITE_FILES = {"repair/check.py", "repair/rebuild.py"}
"""Besides the adapter and `stores`, which chooses it."""


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_above_the_adapter_names_its_technology(path: Path) -> None:
    name = str(path.relative_to(PACKAGE))
    if part_of(path) in ("sqlite", "postgresql", "stores") or name in ABOUT_SQLITE_FILES:
        return
    adapters = ("gateway.sqlite", "gateway.postgresql")
    assert not any(each.startswith(adapters) for each in imports(path)), f"{name}: use gateway.stores"


def layer(part: str) -> int:
    return next(level for level, parts in enumerate(LAYERS) if part in parts)


SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    here = part_of(path)
    for name in imports(path):
        top, _, rest = name.partition(".")
        if top != "gateway" or not rest:
            assert here in HOMES.get(top, {here}), f"{path} imports {top}, which lives in {HOMES[top]}"
            continue
        there = rest.split(".")[0]
        if there == "__version__" or there == here or (here, there) in SIDEWAYS:
            continue
        assert layer(there) < layer(here), f"{path} imports {name} against the direction of imports"


def test_no_source_file_is_without_a_layer() -> None:
    for path in SOURCES:
        layer(part_of(path))


FLOORS = ["protocol", "requestor", "acceptor", "pynetdicom_contract", "services", "server"]
"""The floors of `dimse`, from the bottom up: a floor imports only lower ones."""


@pytest.mark.parametrize("path", sorted((PACKAGE / "dimse").rglob("*.py")), ids=lambda path: path.stem)
def test_the_floors_of_dimse_import_down(path: Path) -> None:
    here = path.relative_to(PACKAGE / "dimse").parts[0].removesuffix(".py")
    for name in imports(path):
        if name.startswith("gateway.dimse.") and (there := name.split(".")[2]) != here:
            assert FLOORS.index(there) < FLOORS.index(here), f"{path} imports {name}"


def modules() -> dict[str, Path]:
    """Name → file of every module."""
    found = {}
    for path in SOURCES:
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported_modules(path: Path, known: dict[str, Path]) -> set[str]:
    """Our modules that a module imports, also for types alone and within functions."""
    found = set()
    for node in nodes_of(path):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found |= {full if full in known else node.module} & known.keys()
    return found


def test_no_module_imports_itself_in_a_circle() -> None:
    known = modules()
    left = {name: imported_modules(path, known) - {name} for name, path in known.items()}
    while free := {name for name, needed in left.items() if not needed & left.keys()}:
        left = {name: needed for name, needed in left.items() if name not in free}
    assert sorted(left) == []
