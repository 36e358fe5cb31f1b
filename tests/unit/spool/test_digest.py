"""What a content is: BLAKE3, and SHA-256 of former versions as well."""

from __future__ import annotations

import hashlib

import pytest

from gateway.spool.digest import Digest, Proof, digest_of, has_digest

VECTORS = {
    b"": "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
    b"abc": "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85",
}
"""Published by the authors of BLAKE3."""
DATA = bytes(range(256)) * 300


@pytest.mark.parametrize("data", VECTORS, ids=["empty", "abc"])
def test_it_is_blake3(data: bytes) -> None:
    assert digest_of([data]).hex() == VECTORS[data]


@pytest.mark.parametrize("cuts", [(), (0,), (1,), (1, 2048, 2049), (40_000, 76_800)], ids=str)
def test_pieces_make_no_difference(cuts: tuple[int, ...]) -> None:
    ends = [*cuts, len(DATA)]
    pieces = [memoryview(DATA)[start:end] for start, end in zip([0, *cuts], ends, strict=True)]
    digest, proof = Digest(), Proof()
    for piece in pieces:
        digest.update(piece)
        proof.update(piece)
    assert digest.value() == digest_of(pieces) == digest_of([bytearray(DATA)])
    assert proof.is_of(digest.value())


@pytest.mark.parametrize("digest", [digest_of([DATA]), hashlib.sha256(DATA).digest()], ids=["blake3", "sha256"])
def test_either_digest_proves_a_content_and_no_other(digest: bytes) -> None:
    assert has_digest([DATA[:5000], DATA[5000:]], digest)
    for place in (0, 5000, len(DATA) - 1):
        changed = bytearray(DATA)
        changed[place] ^= 1
        assert not has_digest([changed], digest)
    assert not has_digest([DATA[:-1]], digest)
