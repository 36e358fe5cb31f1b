"""Names of objects, and the bytes of one. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from gateway.common.buffer import Buffer

NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)*", re.ASCII)
"""No part begins with a dot: none leads out of its folder, and the stores keep such names for themselves."""
LONGEST_NAME = 512
PIECE_BYTES = 1024**2
"""The library for S3 copies a piece."""


def is_name(text: str) -> bool:
    """True for what may be the name of an object."""
    return len(text) <= LONGEST_NAME and NAME.fullmatch(text) is not None


def checked(name: str) -> str:
    """The name itself. Raises ValueError."""
    if not is_name(name):
        raise ValueError(f"{name!r} is no name of an object")
    return name


def folder_of(prefix: str) -> str:
    """The part of a prefix that names a folder, with its `/`; empty for all objects. Raises ValueError."""
    folder, separator, rest = prefix.rpartition("/")
    if (folder and not is_name(folder)) or (separator and not folder) or (rest and not is_name(rest)):
        raise ValueError(f"{prefix!r} begins no name of an object")
    return folder + separator


def exactly(chunks: Iterable[Buffer], length_bytes: int) -> Iterator[Buffer]:
    """The chunks, cut into pieces of at most `PIECE_BYTES`, none of them empty. Raises ValueError in place of the end
    when they have another length."""
    found_bytes = 0
    for chunk in chunks:
        found_bytes += len(chunk)
        if found_bytes > length_bytes:
            break
        for start in range(0, len(chunk), PIECE_BYTES):
            yield memoryview(chunk)[start : start + PIECE_BYTES]
    if found_bytes != length_bytes:
        more = "or more " if found_bytes > length_bytes else ""
        raise ValueError(f"{found_bytes} bytes {more}where {length_bytes} were announced")


def are_equal(stored: Iterable[bytes], chunks: Iterable[Buffer]) -> bool:
    """True when both have the same bytes, however they are cut."""
    mine, left = (chunk for chunk in chunks if chunk), memoryview(b"")
    for found in stored:
        rest = memoryview(found)
        while rest:
            left = left or memoryview(next(mine, b""))
            size = min(len(rest), len(left))
            if not size or rest[:size] != left[:size]:
                return False
            rest, left = rest[size:], left[size:]
    return not left and next(mine, None) is None
