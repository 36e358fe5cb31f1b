"""Handlers of a site's own by reference: what can be bound, and what is said of what cannot."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from gateway.handlers.site_handlers import site_handlers
from gateway.ports.errors import ConfigurationError

HEAD = """
from pynetdicom import evt

def store(event, folder=None):
    return 0x0000

def find(event):
    yield 0x0000, None

async def later(event):
    yield 0x0000, None
"""

GOOD: dict[str, tuple[str, list[tuple[str, str, int]]]] = {
    "a list": ("HANDLERS = [(evt.EVT_C_STORE, store)]", [("EVT_C_STORE", "store", 0)]),
    "a tuple": ("HANDLERS = ((evt.EVT_C_FIND, find),)", [("EVT_C_FIND", "find", 0)]),
    "arguments": ("HANDLERS = [(evt.EVT_C_STORE, store, ['/out'])]", [("EVT_C_STORE", "store", 1)]),
    "no arguments": ("HANDLERS = [(evt.EVT_C_STORE, store, None)]", [("EVT_C_STORE", "store", 0)]),
    "a function": ("def HANDLERS(): return [(evt.EVT_C_STORE, store)]", [("EVT_C_STORE", "store", 0)]),
    "a generator": ("def HANDLERS(): yield evt.EVT_C_STORE, store", [("EVT_C_STORE", "store", 0)]),
    "several, one asynchronous": (
        "HANDLERS = [(evt.EVT_C_STORE, store), (evt.EVT_C_FIND, later)]",
        [("EVT_C_STORE", "store", 0), ("EVT_C_FIND", "later", 0)],
    ),
}

BAD: dict[str, tuple[str, str]] = {
    "not there": ("OTHER = []", "has no HANDLERS; it has OTHER, evt, find"),
    "text": ("HANDLERS = 'store'", "it gives str, not a list of (event, handler)"),
    "a number": ("HANDLERS = 5", "it gives int, not a list"),
    "None": ("def HANDLERS(): pass", "it gives NoneType, not a list"),
    "an empty list": ("HANDLERS = []", "an empty list"),
    "a function that fails": ("def HANDLERS(): return 1 / 0", "the function fails: ZeroDivisionError"),
    "a handler alone": ("HANDLERS = [store]", "a binding is function, not (event, handler)"),
    "an event alone": ("HANDLERS = [evt.EVT_C_STORE]", "a binding is InterventionEvent, not (event, handler)"),
    "one part": ("HANDLERS = [(evt.EVT_C_STORE,)]", "a binding has 1 parts"),
    "four parts": ("HANDLERS = [(evt.EVT_C_STORE, store, [], 1)]", "a binding has 4 parts"),
    "a notification that is not raised": (
        "HANDLERS = [(evt.EVT_FSM_TRANSITION, store)]",
        "nothing here raises EVT_FSM_TRANSITION; handlers are bound to",
    ),
    "a notification handler that yields": (
        "def told(event):\n    yield\nHANDLERS = [(evt.EVT_ACCEPTED, told)]",
        "the handler of EVT_ACCEPTED yields",
    ),
    "a notification handler with too few parameters": (
        "HANDLERS = [(evt.EVT_ACCEPTED, lambda: None)]",
        "the handler of EVT_ACCEPTED cannot be called with the event",
    ),
    "an N-service": ("HANDLERS = [(evt.EVT_N_SET, store)]", "no operation serves EVT_N_SET"),
    "an event as text": ("HANDLERS = [('EVT_C_STORE', store)]", "no operation serves EVT_C_STORE"),
    "no function": (
        "HANDLERS = [(evt.EVT_C_STORE, 'store')]",
        "the handler of EVT_C_STORE is str, and cannot be called",
    ),
    "arguments that are text": ("HANDLERS = [(evt.EVT_C_STORE, store, '/out')]", "are str, not a list"),
    "too many arguments": (
        "HANDLERS = [(evt.EVT_C_FIND, find, [1, 2])]",
        "the handler of EVT_C_FIND cannot be called with the event and 2 arguments",
    ),
    "a C-STORE handler that yields": ("HANDLERS = [(evt.EVT_C_STORE, find)]", "yields; it is to return a status"),
    "bound twice": ("HANDLERS = [(evt.EVT_C_FIND, find), (evt.EVT_C_FIND, later)]", "an event is bound twice"),
    "a module that fails": ("raise RuntimeError('no licence')", "cannot be imported: RuntimeError: no licence"),
    "a module that ends the program": ("raise SystemExit(0)", "cannot be imported: SystemExit: 0"),
    "a function that ends the program": ("def HANDLERS(): raise SystemExit(0)", "the function fails: SystemExit: 0"),
    "a module that needs another": ("import nothing_like_it", "needs a module: No module named 'nothing_like_it'"),
    "no Python": ("HANDLERS = [", "cannot be imported: SyntaxError"),
}


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The name of a module in the working folder, with the text of the row."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    name = f"site_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(HEAD + textwrap.dedent(request.param))
    return name


@pytest.mark.parametrize(("written", "expected"), GOOD.values(), ids=GOOD.keys(), indirect=["written"])
def test_good_ones(written: str, expected: list[tuple[str, str, int]]) -> None:
    found = site_handlers(f"{written}:HANDLERS")
    assert [(event.name, handler.__name__, len(arguments)) for event, handler, arguments in found] == expected


@pytest.mark.parametrize(("written", "text"), BAD.values(), ids=BAD.keys(), indirect=["written"])
def test_bad_ones(written: str, text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        site_handlers(f"{written}:HANDLERS")
    assert str(caught.value).startswith(f"--handlers {written}:HANDLERS: ")
    assert text in str(caught.value)


@pytest.mark.parametrize("reference", ["", "site", "site:", ":HANDLERS", "site.HANDLERS"])
def test_no_reference(reference: str) -> None:
    with pytest.raises(ConfigurationError, match="expected module:NAME"):
        site_handlers(reference)


def test_no_module() -> None:
    with pytest.raises(ConfigurationError, match="there is no module nowhere_at_all; it is looked for in"):
        site_handlers("nowhere_at_all:HANDLERS")


def test_a_name_within_a_name() -> None:
    with pytest.raises(ConfigurationError, match=r"evt.EVT_C_ECHO.name: it gives str, not a list"):
        site_handlers("pynetdicom:evt.EVT_C_ECHO.name")
