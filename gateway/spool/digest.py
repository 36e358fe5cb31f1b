"""The digest that says what the content of a record is: BLAKE3, 32 bytes.

Records of former versions have SHA-256 in its place. Either proves a content, so that such records are read as ever.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from blake3 import blake3

from gateway.common.buffer import Buffer


class Digest:
    """The digest of bytes that come in pieces."""

    __slots__ = ("_blake3",)

    def __init__(self) -> None:
        self._blake3 = blake3()

    def update(self, piece: Buffer) -> None:
        self._blake3.update(piece)

    def value(self) -> bytes:
        return self._blake3.digest()


class Proof:
    """Whether bytes that come in pieces have the digest that was recorded."""

    __slots__ = ("_blake3", "_sha256")

    def __init__(self) -> None:
        self._blake3 = blake3()
        self._sha256 = hashlib.sha256()

    def update(self, piece: Buffer) -> None:
        self._blake3.update(piece)
        self._sha256.update(piece)

    def is_of(self, digest: bytes) -> bool:
        """True when all pieces together are what has this digest."""
        return digest in (self._blake3.digest(), self._sha256.digest())


def digest_of(pieces: Sequence[Buffer]) -> bytes:
    """The digest of all pieces in order."""
    if len(pieces) == 1:
        return blake3(pieces[0]).digest()
    digest = Digest()
    for piece in pieces:
        digest.update(piece)
    return digest.value()


def has_digest(pieces: Iterable[Buffer], digest: bytes) -> bool:
    """True when all pieces together are what has this digest."""
    proof = Proof()
    for piece in pieces:
        proof.update(piece)
    return proof.is_of(digest)
