"""User names and passcodes, by a file with one line ``user:hash`` for each user; the hashes are argon2id (RFC 9106)."""

from __future__ import annotations

import functools
import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from gateway.identity.values import NotVerified, OfferedIdentity, VerifiedIdentity
from gateway.identity.watched_file import WatchedFile

if TYPE_CHECKING:
    from argon2 import PasswordHasher

MOST_PASSCODE_BYTES = 1024
MOST_USER_CHARACTERS = 256
TIME_COST, MEMORY_KIB, PARALLELISM = 3, 65536, 1
"""RFC 9106 §4, the second recommended option, with one lane: it is to take one processor, not all."""

REMEMBERED_S = 300.0
"""Time for which a passcode that was right is not hashed again: a sender may open an association for each object."""
MOST_REMEMBERED = 1024


@functools.cache
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher  # takes a while to load, and few gateways need it

    return PasswordHasher(time_cost=TIME_COST, memory_cost=MEMORY_KIB, parallelism=PARALLELISM)


@functools.cache
def _dummy_hash() -> str:
    """A hash for unknown users, so that they take as long as a wrong passcode."""
    return str(_hasher().hash("nobody"))


def entry(user: str, passcode: str) -> str:
    """A line of the file, without its end.

    Raises:
        ValueError: the name or the passcode cannot be used; the message does not hold the passcode.
    """
    if fault := _user_fault(user):
        raise ValueError(fault)
    if not passcode:
        raise ValueError("the passcode is empty")
    if len(passcode.encode()) > MOST_PASSCODE_BYTES:
        raise ValueError(f"the passcode has more than {MOST_PASSCODE_BYTES} bytes")
    return f"{user}:{_hasher().hash(passcode)}"


def parse(content: bytes) -> Mapping[str, str]:
    """User → hash. Lines that are empty or begin with # count for nothing.

    Raises:
        ValueError: a line is not ``user:hash``; the message names the line, not its content.
    """
    from argon2 import extract_parameters
    from argon2.exceptions import InvalidHashError
    from argon2.low_level import Type

    found: dict[str, str] = {}
    try:
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        user, separator, hashed = text.rpartition(":")
        try:
            is_good = bool(separator) and extract_parameters(hashed).type is Type.ID
        except InvalidHashError:
            is_good = False
        if not is_good:
            raise ValueError(f"line {number} is not `user:hash` with a hash of argon2id; `gateway password` makes one")
        if fault := _user_fault(user):
            raise ValueError(f"line {number}: {fault}")
        if user in found:
            raise ValueError(f"line {number} names a user that an earlier line names")
        found[user] = hashed
    return found


def _user_fault(user: str) -> str:
    if not user:
        return "the user name is empty"
    if len(user) > MOST_USER_CHARACTERS:
        return f"the user name has more than {MOST_USER_CHARACTERS} characters"
    if user.startswith("#") or user != user.strip() or not user.isprintable():
        return "the user name begins with #, has spaces around it, or characters that cannot be printed"
    return ""


class PasswordFileVerifier:
    """Reads its file again when it changes, and blocks for a tenth of a second and more: for threads.

    Args:
        path: the file.
        now: a monotonic clock, in seconds.
    """

    def __init__(self, path: str, now: Callable[[], float] = time.monotonic) -> None:
        self._users = WatchedFile(path, parse)
        self._now = now
        self._key = secrets.token_bytes(32)
        self._until_s: OrderedDict[bytes, float] = OrderedDict()
        """Keyed digests of passcodes that were right a short while ago; the key dies with the process."""
        self._lock = threading.Lock()

    def remembered(self, offered: OfferedIdentity) -> VerifiedIdentity | None:
        """The identity when the same passcode was right a short while ago, and the file still says so; does not hash.

        Raises NotVerifiable.
        """
        user = offered.primary.decode("utf-8", "replace")
        hashed = self._users.value().get(user, "")
        with self._lock:
            is_good = bool(hashed) and self._now() < self._until_s.get(self._digest(hashed, offered), 0.0)
        return VerifiedIdentity(user) if is_good else None

    def _remember(self, hashed: str, offered: OfferedIdentity) -> None:
        with self._lock:
            self._until_s[self._digest(hashed, offered)] = self._now() + REMEMBERED_S
            if len(self._until_s) > MOST_REMEMBERED:
                self._until_s.popitem(last=False)

    def _digest(self, hashed: str, offered: OfferedIdentity) -> bytes:
        parts = (hashed.encode(), offered.primary, offered.secondary)
        message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.new(self._key, message, hashlib.sha256).digest()

    def verify(self, offered: OfferedIdentity) -> VerifiedIdentity:
        """Raises NotVerified, NotVerifiable."""
        from argon2.exceptions import Argon2Error

        user = offered.primary.decode("utf-8", "replace")
        hashed = self._users.value().get(user, "")
        try:
            if len(offered.secondary) > MOST_PASSCODE_BYTES:
                raise NotVerified("the passcode is too long")
            _hasher().verify(hashed or _dummy_hash(), offered.secondary)
        except Argon2Error:
            hashed = ""
        if not hashed:
            raise NotVerified("unknown user or wrong passcode")
        self._remember(hashed, offered)
        return VerifiedIdentity(user)
