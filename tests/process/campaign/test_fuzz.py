"""Mutated associations of real requestors: no traceback, no harm to others. `python -m benchmarks.fuzz` runs many."""

from __future__ import annotations

import random
from pathlib import Path

from tests.support.campaigns.fuzz import fuzz
from tests.support.fuzzing.mutate import mutated
from tests.support.fuzzing.recordings import pdus, recordings

SESSIONS = 400


async def test_mutated_associations_harm_nobody(tmp_path: Path) -> None:
    report = await fuzz(tmp_path, SESSIONS, seed=1, at_once=20)

    assert report.misses == [], report.samples
    assert report.counts["A-ASSOCIATE-AC"] > SESSIONS / 3, "most mutations are behind the association request"


def test_a_seed_and_a_number_make_a_session() -> None:
    recorded = recordings()
    first = [mutated(recorded, random.Random(f"7:{number}")) for number in range(200)]

    assert first == [mutated(recorded, random.Random(f"7:{number}")) for number in range(200)]
    assert sum(sent != recorded[name] for name, sent in first) > 180


def test_recordings_are_whole() -> None:
    """Each opens an association and releases it, as PDUs of whole length."""
    found = recordings()

    assert len(found) >= 10
    for name, recorded in found.items():
        assert pdus(b"".join(recorded)) == recorded, name
        assert all(len(pdu) == 6 + int.from_bytes(pdu[2:6], "big") for pdu in recorded), name
        assert [recorded[0][0], recorded[-1][0]] == [1, 5], name
