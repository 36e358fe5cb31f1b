"""The shipped site in `rules/`."""

from pathlib import Path

import pytest

from gateway.config import load
from gateway.destinations.folder import Folder

ROOT = Path(__file__).parents[3]
RULES = ROOT / "rules"


@pytest.mark.parametrize(
    ("environ", "rules", "peers"),
    [
        pytest.param({}, ["everything to files"], {"files", "ct1"}, id="as it is"),
        pytest.param(
            {"FORWARD_TO_PACS": "true", "PACS_ADDRESS": "pacs.example.org:104"},
            ["everything to files", "images to the archives"],
            {"files", "ct1", "pacs"},
            id="with the archive",
        ),
        pytest.param(
            {"FORWARD_TO_PACS": "true", "FORWARD_TO_RESEARCH": "true", "GATEWAY_ADMIT": "known", "GATEWAY_PORT": "104"},
            ["everything to files", "images to the archives", "heads to research"],
            {"files", "ct1", "pacs", "research"},
            id="with everything",
        ),
    ],
)
def test_it_has_neither_problems_nor_warnings(environ: dict[str, str], rules: list[str], peers: set[str]) -> None:
    loaded = load(RULES, environ, ROOT)

    assert [str(problem) for problem in loaded.problems] == []
    assert loaded.table is not None
    assert [route.name for route in loaded.table.routes] == rules
    assert set(loaded.table.peers) == peers


def test_it_runs_out_of_the_box() -> None:
    loaded = load(RULES, {}, ROOT)

    assert loaded.settings is not None
    assert loaded.table is not None
    settings = loaded.settings
    assert (settings.ae_title, settings.listeners[0].port, settings.admit) == ("GATEWAY", 11112, "any")
    assert settings.http is not None
    assert (settings.http.address, settings.http.port) == ("127.0.0.1", 8080)
    assert settings.spool.path == str(ROOT / "var/spool")
    assert settings.spool.min_free_bytes <= 2 * 1024**3
    assert loaded.table.unmatched == "hold"
    assert loaded.table.coercions
    files = loaded.table.peers["files"].destination
    assert isinstance(files, Folder)
    assert files.root == str(ROOT / "var/files")


def test_addresses_come_from_the_environment() -> None:
    loaded = load(RULES, {"FORWARD_TO_PACS": "true", "PACS_ADDRESS": "[2001:db8::7]:104", "PACS_AE_TITLE": "ARC"}, ROOT)

    assert loaded.table is not None
    pacs = loaded.table.peers["pacs"]
    assert (pacs.ae_title, pacs.host, pacs.port) == ("ARC", "2001:db8::7", 104)
