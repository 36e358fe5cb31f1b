"""Verification of user identities by a program: JSON on its standard input, its exit code is the answer.

Exit code 0: verified; 1: refused; any other, or no end in time: nobody can say now. It may print one JSON object:
`user`, the name for rules (default: the user name that was offered), and `server_response`, in Base64, for the
A-ASSOCIATE-AC (PS3.7 §D.3.3.7.2).
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import signal
import subprocess
from typing import Any

from gateway.identity.values import NotVerifiable, NotVerified, OfferedIdentity, VerifiedIdentity
from gateway.model.security import IdentityCommand

VERIFIED, REFUSED = 0, 1
MOST_OUTPUT_BYTES = 256 * 1024
MOST_RESPONSE_BYTES = 0xFFFF
MOST_USER_CHARACTERS = 256
NAMED = ("username", "username_passcode")


class CommandVerifier:
    """Waits for the program: for threads."""

    def __init__(self, settings: IdentityCommand) -> None:
        self._settings = settings

    def verify(self, offered: OfferedIdentity) -> VerifiedIdentity:
        """Raises NotVerified, NotVerifiable."""
        name = os.path.basename(self._settings.arguments[0])
        code, output = self._run(_request(offered), name)
        if code == REFUSED:
            raise NotVerified(f"{name} refused it")
        if code != VERIFIED:
            raise NotVerifiable(f"{name} ended with exit code {code}")
        default = offered.primary.decode("utf-8", "replace") if offered.kind in NAMED else ""
        return _answer(output, default, name)

    def _run(self, request: bytes, name: str) -> tuple[int, bytes]:
        try:
            process = subprocess.Popen(  # noqa: S603 - the operator's program, never through a shell
                self._settings.arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise NotVerifiable(f"{name} cannot be started: {getattr(error, 'strerror', None) or error}") from None
        try:
            output, _ = process.communicate(request, timeout=self._settings.time_limit_s)
        except subprocess.TimeoutExpired:
            raise NotVerifiable(f"{name} did not end within {self._settings.time_limit_s:g} s") from None
        finally:
            _end(process)
        return process.returncode, output


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process with all that it started."""
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    process.wait()


def _request(offered: OfferedIdentity) -> bytes:
    return json.dumps(
        {
            "type": offered.kind,
            "primary": base64.b64encode(offered.primary).decode(),
            "secondary": base64.b64encode(offered.secondary).decode(),
            "positive_response_requested": offered.is_response_requested,
            "calling_ae_title": offered.calling_ae_title,
            "remote_host": offered.remote_host,
            "peer": offered.peer,
        }
    ).encode()


def _answer(output: bytes, default: str, name: str) -> VerifiedIdentity:
    if not output.strip():
        return VerifiedIdentity(default)
    try:
        if len(output) > MOST_OUTPUT_BYTES:
            raise ValueError
        found: Any = json.loads(output)
        user = found.get("user", default)
        response = base64.b64decode(found.get("server_response", ""), validate=True)
        if not isinstance(user, str) or len(user) > MOST_USER_CHARACTERS or len(response) > MOST_RESPONSE_BYTES:
            raise ValueError
    except (ValueError, AttributeError, TypeError, RecursionError, binascii.Error):
        raise NotVerifiable(f"{name} printed something else than an object with `user` and `server_response`") from None
    return VerifiedIdentity(user, response)
