"""The first configuration of a site: answers are checked alone and beside the others; the text says what they said."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import load
from gateway.config.first_site import FILE, Answers, conflict, fault, quoted, site_yaml
from gateway.routing.table import RoutingTable

ANSWERS = Answers(
    ae_title="GATEWAY",
    address="0.0.0.0",
    port="11112",
    archive_ae_title="PACS",
    archive_host="pacs.example.org",
    archive_port="104",
    modality_ae_title="CT1",
    modality_host="10.1.0.7",
)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("ae_title", "", "empty or only spaces"),
        ("ae_title", "    ", "empty or only spaces"),
        ("ae_title", "A" * 17, "at most 16 characters (PS3.5 §6.2); this one has 17"),
        ("archive_ae_title", "PA\\CS", "backslash"),
        ("archive_ae_title", "PA\tCS", "control characters"),
        ("modality_ae_title", "CT\x7f", "control characters"),
        ("modality_ae_title", "CT1\n", "control characters"),
        ("modality_ae_title", "RÖNTGEN", "ASCII alone"),
        ("port", "0", "from 1 to 65535"),
        ("port", "65536", "from 1 to 65535"),
        ("port", "-1", "from 1 to 65535"),
        ("port", "dicom", "from 1 to 65535"),
        ("port", "", "from 1 to 65535"),
        ("archive_port", "1e3", "from 1 to 65535"),
        ("archive_port", "٣٠٠", "from 1 to 65535"),
        ("address", "gateway.example.org", "is not a numeric address"),
        ("address", "10.1.0.300", "is not a numeric address"),
        ("archive_host", "", "A host is missing"),
        ("archive_host", "pacs example", "is not a host name"),
        ("archive_host", "pacs.example.org:104", "holds a port"),
        ("archive_host", "10.1.0.300", "is not an IPv4 address"),
        ("archive_host", "-pacs", "is not a host name"),
        ("modality_host", "ct1.example.org", "Names are not looked up"),
        ("modality_host", "10.1.0.7/16", "is no network"),
        ("modality_host", "10.1.0.0/33", "is no network"),
        ("http", "8080", "is not HOST:PORT"),
        ("http", "127.0.0.1:99999", "from 1 to 65535"),
        ("data", " ", "Name a folder"),
    ],
)
def test_a_bad_answer_is_reported_in_a_sentence(name: str, text: str, expected: str) -> None:
    found = fault(name, text)
    assert expected in found
    assert found.endswith(".")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ae_title", "A" * 16),
        ("ae_title", " GATEWAY "),
        ("ae_title", "MY PACS: #1"),
        ("port", "104"),
        ("address", "::"),
        ("address", "10.1.0.5"),
        ("archive_host", "localhost"),
        ("archive_host", "2001:db8::7"),
        ("archive_host", "pacs_1.example.org"),
        ("modality_host", "10.1.0.0/16"),
        ("modality_host", "2001:db8::/32"),
        ("http", "[::1]:8080"),
        ("data", "/var/lib/gateway"),
    ],
)
def test_a_good_answer_is_taken(name: str, text: str) -> None:
    assert fault(name, text) == ""


@pytest.mark.parametrize(
    ("changes", "name", "expected"),
    [
        ({"archive_ae_title": "GATEWAY"}, "archive_ae_title", "the AE title of the gateway"),
        ({"modality_ae_title": "GATEWAY "}, "modality_ae_title", "the AE title of the gateway"),
        ({"modality_ae_title": "PACS"}, "modality_ae_title", "the AE title of the archive"),
        ({"archive_host": "127.0.0.1", "archive_port": "11112"}, "archive_port", "is the gateway itself"),
        (
            {"address": "10.1.0.5", "archive_host": "10.1.0.5", "archive_port": "11112"},
            "archive_port",
            "is the gateway itself",
        ),
        ({"http": "127.0.0.1:11112"}, "http", "one of its own"),
    ],
)
def test_answers_that_do_not_go_together(changes: dict[str, str], name: str, expected: str) -> None:
    found = conflict(dataclasses.replace(ANSWERS, **changes))
    assert found[0] == name
    assert expected in found[1]


@pytest.mark.parametrize(
    "changes",
    [{}, {"archive_port": "11112"}, {"address": "10.1.0.5", "http": "127.0.0.1:11112"}, {"ae_title": "", "port": ""}],
    ids=["all", "the archive's port elsewhere", "HTTP on another address", "not answered yet"],
)
def test_answers_that_go_together(changes: dict[str, str]) -> None:
    assert conflict(dataclasses.replace(ANSWERS, **changes)) == ("", "")


AE_TITLES = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="\\"), min_size=1, max_size=16
).filter(lambda text: text.strip(" "))


@given(titles=st.lists(AE_TITLES, min_size=3, max_size=3, unique_by=lambda text: text.strip(" ")))
def test_any_ae_title_is_what_the_configuration_says(titles: list[str]) -> None:
    own, archive, modality = titles
    answers = dataclasses.replace(ANSWERS, ae_title=own, archive_ae_title=archive, modality_ae_title=modality)
    table = _loaded(answers)
    assert table.settings.ae_title == own.strip(" ")
    assert table.peers["archive"].ae_title == archive.strip(" ")
    assert table.peers["modality"].ae_title == modality.strip(" ")


@pytest.mark.parametrize(
    "text", ["NO", "null", "12", "0x1F", "1_0", "on", "~", "1:30", "A, B", "{x}", "${HOME}", "'", '"', "# x"]
)
def test_a_scalar_stays_the_text_that_it_was(text: str) -> None:
    answers = dataclasses.replace(ANSWERS, ae_title=text)
    assert _loaded(answers).settings.ae_title == text
    assert "\n" not in quoted(text)


def test_what_is_written_is_what_was_answered(tmp_path: Path) -> None:
    answers = dataclasses.replace(
        ANSWERS,
        address="10.1.0.5",
        archive_host="2001:db8::7",
        modality_host="10.1.0.0/16",
        data="/var/lib/gateway",
        http="[::1]:8081",
    )
    table = _loaded(answers)
    settings = table.settings
    assert [(row.address, row.port) for row in settings.listeners] == [("10.1.0.5", 11112)]
    assert (settings.spool.path, settings.queue_path) == ("/var/lib/gateway/spool", "/var/lib/gateway/gateway.db")
    assert settings.http is not None
    assert (settings.http.address, settings.http.port) == ("::1", 8081)
    assert (table.peers["archive"].host, table.peers["archive"].port) == ("2001:db8::7", 104)
    assert table.peers["modality"].hosts == ("10.1.0.0/16",)
    assert table.peers["modality"].may == {"echo", "store"}
    assert table.peers["this-machine"].hosts == ("127.0.0.1", "::1", "10.1.0.5")
    assert settings.admit == "known"
    assert table.unmatched == "hold"
    assert [route.name for route in table.routes] == ["from the modality to the archive"]


def _loaded(answers: Answers) -> RoutingTable:
    """The table; there is not even a warning."""
    with TemporaryDirectory() as folder:
        (Path(folder) / FILE).write_text(site_yaml(answers))
        loaded = load(Path(folder), {})
    assert [str(problem) for problem in loaded.problems] == []
    assert loaded.table is not None
    return loaded.table
