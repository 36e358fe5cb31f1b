"""What stands in the log, and what does not."""

import io
import json
import logging
from pathlib import Path

import pytest
import structlog

from gateway.common.plain_text import PEER_SAYS, printable, shown_code, shown_uid, without_peers_words
from gateway.lifecycle import logs
from gateway.model.delivery import Refused
from gateway.sending.store_outcome import outcome_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CT1", "CT1"),
        ("", ""),
        ("Müller 山田 é", "Müller 山田 é"),
        ("a\x1b[31mb\x07", "a\\x1b[31mb\\x07"),
        ("a\nb\tc\r", "a\\x0ab\\x09c\\x0d"),
        ("\x9bHidden\x7f", "\\x9bHidden\\x7f"),
        ("exe\u202egpj", "exe\\u202egpj"),
        ("a\u2028b", "a\\u2028b"),
        ("\udc80", "\\udc80"),
        ("\U000e0001", "\\U000e0001"),
    ],
)
def test_printable(text: str, expected: str) -> None:
    assert printable(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.2.840.10008.1.1", "1.2.840.10008.1.1"),
        ("", ""),
        ("DOE^JOHN", "(no UID: 8 characters)"),
        ("1.2.3 DOE", "(no UID: 9 characters)"),
        ("1" * 65, "(no UID: 65 characters)"),
    ],
)
def test_shown_uid(text: str, expected: str) -> None:
    assert shown_uid(text) == expected


HIDDEN = "; --show-values shows what the peer says"


@pytest.mark.parametrize(
    "name", ["0xC000 Error: Cannot Understand", "given up after 9 s: 0xA700 Refused: Out of Resources"]
)
def test_what_a_peer_says_is_left_out_of_a_reason(name: str) -> None:
    assert without_peers_words(f"{name}{PEER_SAYS}DOE^JOHN") == f"{name}{HIDDEN}"
    assert without_peers_words(name) == name


def test_what_a_peer_says_is_marked_in_the_reason() -> None:
    outcome = outcome_of(0xC000, "DOE^JOHN is unknown")
    assert isinstance(outcome, Refused)
    assert without_peers_words(outcome.reason) == f"0xC000 Error: Cannot Understand{HIDDEN}"


def test_shown_code() -> None:
    assert [shown_code(text) for text in ("ISO_IR 100", "Doe^Jane", "A" * 17)] == [
        "ISO_IR 100",
        "(8 characters)",
        "(17 characters)",
    ]


@pytest.fixture(params=["text", "json"])
def output(request: pytest.FixtureRequest) -> object:
    """Where the log goes, set up as the gateway does it; put back afterwards."""
    before, handlers = structlog.get_config(), logging.getLogger().handlers[:]
    stream = io.StringIO()
    logs.configure("info", request.param, stream)
    structlog.configure(cache_logger_on_first_use=False)
    yield stream
    structlog.configure(**before)
    logging.getLogger().handlers[:] = handlers


def test_no_field_holds_a_name_in_place_of_a_uid_or_commands_a_terminal(output: io.StringIO) -> None:
    structlog.get_logger().warning(
        "event",
        sop_instance_uid="DOE^JOHN",
        study_instance_uids=["1.2.3", "DOE^JANE"],
        calling_ae_title="\x1b]0;title\x07",
        nested={"reason": "line\nline", "list": ["\x9b"]},
        number=7,
    )
    written = output.getvalue()
    assert "DOE" not in written
    assert "1.2.3" in written
    assert not any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in written.rstrip("\n"))
    if written.startswith("{"):
        assert json.loads(written)["calling_ae_title"] == "\\x1b]0;title\\x07"


def test_the_stack_of_an_exception_keeps_its_lines_and_shows_no_file_name(output: io.StringIO) -> None:
    try:
        missing = "/nowhere/DOE^JOHN"
        Path(missing).read_bytes()
    except OSError as error:
        structlog.get_logger().error("event", exc_info=error)
    written = output.getvalue()
    assert "FileNotFoundError: No such file or directory" in written
    assert "Path(missing).read_bytes()" in written
    assert "DOE" not in written.replace('missing = "/nowhere/DOE^JOHN"', "")


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_lines_of_a_worker_have_its_number(form: logs.Format) -> None:
    before, handlers = structlog.get_config(), logging.getLogger().handlers[:]
    stream = io.StringIO()
    try:
        logs.configure("info", form, stream, worker=3)
        structlog.configure(cache_logger_on_first_use=False)
        structlog.get_logger().info("object_stored")
        logging.getLogger("library").warning("words")
    finally:
        structlog.configure(**before)
        logging.getLogger().handlers[:] = handlers
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert all(('"worker": 3' if form == "json" else "worker=3") in line for line in lines)


class Writes(io.StringIO):
    """Notes each write."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []

    def write(self, text: str) -> int:
        self.parts.append(text)
        return super().write(text)


def test_each_line_is_written_at_once_since_other_processes_write_to_the_same_file() -> None:
    before, handlers = structlog.get_config(), logging.getLogger().handlers[:]
    stream = Writes()
    try:
        logs.configure("info", "json", stream)
        structlog.configure(cache_logger_on_first_use=False)
        for number in range(3):
            structlog.get_logger().info("object_stored", number=number)
    finally:
        structlog.configure(**before)
        logging.getLogger().handlers[:] = handlers
    assert len(stream.parts) == 3
    assert all(part.endswith("}\n") for part in stream.parts)
