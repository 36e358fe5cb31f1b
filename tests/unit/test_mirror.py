"""Each source file has its own tests in the mirrored place, or stands in a list that only shrinks.

The tests of `gateway/spool/lock.py` are `tests/unit/spool/test_lock.py`, or the same below `tests/loopback`,
`tests/process` or `tests/peers` where they need sockets or processes. `without_mirror.txt` lists the files that
are tested through others alone, one a line.
"""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parents[1]
PACKAGE = TESTS.parent / "gateway"
RINGS = ("unit", "loopback", "process", "peers")
LIST = Path(__file__).with_name("without_mirror.txt")
MOST = 258
"""How many may stand in the list. Lower it with the list; never raise it."""


def is_code(path: Path) -> bool:
    """False for an `__init__.py`, and for a file of names and values alone."""
    return path.name != "__init__.py" and any(
        line.startswith(("def ", "async def ", "class ")) for line in path.read_text().splitlines()
    )


SOURCES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if is_code(path))
LISTED = LIST.read_text().splitlines()


def has_tests(source: Path) -> bool:
    name = f"test_{source.name.removeprefix('_')}"
    return any((TESTS / ring / source.parent / name).is_file() for ring in RINGS)


def test_each_source_file_has_its_tests_or_is_listed() -> None:
    without = [source.as_posix() for source in SOURCES if not has_tests(source)]
    assert sorted(set(without) - set(LISTED)) == [], "write tests in the mirrored place"


def test_what_has_tests_is_listed_no_longer() -> None:
    known = {source.as_posix(): has_tests(source) for source in SOURCES}
    assert [name for name in LISTED if known.get(name, True)] == [], "take these out of the list, and lower MOST"


def test_the_list_only_shrinks() -> None:
    assert sorted(set(LISTED)) == LISTED
    assert len(LISTED) <= MOST
