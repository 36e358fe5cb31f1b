"""The rings of tests: folders, markers, what a test may do, and what imports what."""

from __future__ import annotations

import ast
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.rings import MARKED_FOLDERS, WATCH, Watch, WrongRing
from tests.support.source_trees import files_with, nodes_of

TESTS = Path(__file__).parents[1]
STORESCU = ["setpriv", "--pdeathsig", "KILL", "/usr/bin/storescu", "127.0.0.1", "104"]
PYTHON = ["/usr/bin/python3", "-m", "pynetdicom", "storescu"]


def test_the_marker_is_that_of_the_folder(request: pytest.FixtureRequest) -> None:
    registered = {line.partition(":")[0] for line in request.config.getini("markers")}
    assert registered >= MARKED_FOLDERS
    assert not MARKED_FOLDERS & {marker.name for marker in request.node.iter_markers()}


@pytest.mark.parametrize(
    ("command", "markers", "is_right"),
    [
        (PYTHON, [], False),
        (PYTHON, ["asyncio"], False),
        (PYTHON, ["process"], True),
        (PYTHON, ["loopback"], True),
        (PYTHON, ["peers"], True),
        (STORESCU, [], False),
        (STORESCU, ["process"], False),
        (STORESCU, ["loopback", "campaign"], False),
        (STORESCU, ["process", "peers"], True),
        (["/usr/sbin/Orthanc", "orthanc.json"], ["process"], False),
        ("/usr/bin/dcmsend", ["process"], False),
        ([b"/usr/bin/dcmsend"], ["peers"], True),
    ],
)
def test_who_may_start_what(command: str | Sequence[str], markers: list[str], is_right: bool) -> None:
    watch = Watch()
    watch.begin(markers)
    if is_right:
        watch.on_process(None, (command,))
        assert watch.end() == []
    else:
        with pytest.raises(WrongRing, match="marker"):
            watch.on_process(None, (command,))
        assert len(watch.end()) == 1, "it is told again where the product swallows it"


@pytest.mark.parametrize(
    ("family", "markers", "is_right"),
    [
        (socket.AF_INET, [], False),
        (socket.AF_INET6, ["campaign"], False),
        (socket.AF_INET, ["loopback"], True),
        (socket.AF_UNIX, [], True),
    ],
)
def test_who_may_open_sockets(family: int, markers: list[str], is_right: bool) -> None:
    watch = Watch()
    watch.begin(markers)
    with socket.socket(family) as line:
        if is_right:
            watch.on_socket(line, (("127.0.0.1", 104),))
        else:
            with pytest.raises(WrongRing, match="loopback"):
                watch.on_socket(line, (("127.0.0.1", 104),))
    assert bool(watch.end()) is not is_right


def test_between_tests_nothing_is_held() -> None:
    watch = Watch()
    watch.begin([])
    watch.end()
    watch.on_process(None, (STORESCU,))


def test_this_very_process_is_watched() -> None:
    with socket.socket() as line, pytest.raises(WrongRing):
        line.bind(("127.0.0.1", 0))
    assert len(WATCH.end()) == 1


def test_tests_import_nothing_of_benchmarks() -> None:
    found = []
    for path in files_with(TESTS, "benchmarks"):
        for node in nodes_of(path):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            found += [(str(path.relative_to(TESTS)), name) for name in names if name.split(".")[0] == "benchmarks"]
    assert found == []
