"""Commands that decide: exit codes, what they are told, what they say, and how they end."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.identity.command import CommandVerifier
from gateway.identity.values import NotVerifiable, NotVerified, OfferedIdentity, VerifiedIdentity
from gateway.model.security import IdentityCommand
from tests.support.processes import until

pytestmark = pytest.mark.quick

TICKET = bytes(range(256))
OFFERED = OfferedIdentity("kerberos", TICKET, b"", True, "CT1", "10.1.0.7", "ct1")


def command(script: str, *more: str, time_limit_s: float = 60.0) -> CommandVerifier:
    arguments = (sys.executable, "-c", script, *more)
    return CommandVerifier(IdentityCommand(arguments, frozenset({"kerberos"}), time_limit_s))


def test_what_it_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "told"
    verifier = command("import sys; open(sys.argv[1], 'w').write(sys.stdin.read())", str(path))
    verifier.verify(OFFERED)
    assert json.loads(path.read_text()) == {
        "type": "kerberos",
        "primary": base64.b64encode(TICKET).decode(),
        "secondary": "",
        "positive_response_requested": True,
        "calling_ae_title": "CT1",
        "remote_host": "10.1.0.7",
        "peer": "ct1",
    }


def test_nothing_passes_through_a_shell(tmp_path: Path) -> None:
    path = tmp_path / "made"
    command("pass", f"$(touch {path})", f"; touch {path}").verify(OFFERED)
    assert not path.exists()


WITH_RESPONSE = VerifiedIdentity("a", b"\0\1\2")
ANSWERS: dict[str, tuple[str, OfferedIdentity, VerifiedIdentity]] = {
    "nothing, of a ticket": ("", OFFERED, VerifiedIdentity("")),
    "nothing, of a name": ("", OfferedIdentity("username", b"alice"), VerifiedIdentity("alice")),
    "a name": ('print(\'{"user": "alice"}\')', OFFERED, VerifiedIdentity("alice")),
    "a response": ('print(\'{"user": "a", "server_response": "AAEC"}\')', OFFERED, VerifiedIdentity("a", b"\0\1\2")),
}


@pytest.mark.parametrize(("script", "offered", "found"), ANSWERS.values(), ids=ANSWERS.keys())
def test_answers(script: str, offered: OfferedIdentity, found: VerifiedIdentity) -> None:
    assert command(script).verify(offered) == found


FAILURES: dict[str, tuple[str, type[Exception], str]] = {
    "refused": ("raise SystemExit(1)", NotVerified, "refused it"),
    "refused, whatever it prints": ('print(\'{"user": "x"}\'); raise SystemExit(1)', NotVerified, "refused it"),
    "another exit code": ("raise SystemExit(2)", NotVerifiable, "exit code 2"),
    "killed": ("import os; os.kill(os.getpid(), 9)", NotVerifiable, "exit code -9"),
    "no JSON": ("print('yes')", NotVerifiable, "printed something else"),
    "a list": ("print('[]')", NotVerifiable, "printed something else"),
    "no text": ("print('{\"user\": 5}')", NotVerifiable, "printed something else"),
    "no Base64": ('print(\'{"server_response": "*"}\')', NotVerifiable, "printed something else"),
    "too much": ("print('x' * 300_000)", NotVerifiable, "printed something else"),
}


@pytest.mark.parametrize(("script", "kind", "why"), FAILURES.values(), ids=FAILURES.keys())
def test_failures(script: str, kind: type[Exception], why: str) -> None:
    with pytest.raises(kind, match=why):
        command(script).verify(OFFERED)


def test_it_may_leave_its_input_unread() -> None:
    large = OfferedIdentity("saml", bytes(65_000))
    assert command("pass").verify(large) == VerifiedIdentity("")


@pytest.mark.campaign
def test_it_ends_in_time_with_all_that_it_started(tmp_path: Path) -> None:
    path = tmp_path / "child"
    arguments = ("/bin/sh", "-c", f"sleep 600 & echo $! > {path}.new; mv {path}.new {path}; wait")
    for limit_s in (3.0, 60.0):  # a machine that is busy needs longer until there is a child
        with pytest.raises(NotVerifiable, match="did not end within"):
            CommandVerifier(IdentityCommand(arguments, frozenset({"kerberos"}), limit_s)).verify(OFFERED)
        if path.exists():
            break
    asyncio.run(until(lambda: not _is_running(int(path.read_text())), what="the end of what it started"))


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    settings = IdentityCommand((str(tmp_path / "none"),), frozenset({"saml"}))
    with pytest.raises(NotVerifiable, match="cannot be started"):
        CommandVerifier(settings).verify(OFFERED)


def test_no_descriptor_of_ours_is_left_open() -> None:
    verifier: Any = command("pass")
    verifier.verify(OFFERED)
    gc.collect()  # what tests before left is not closed in between
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        verifier.verify(OFFERED)
    assert len(os.listdir("/proc/self/fd")) <= before
