"""What archives keep, the gateway keeps and passes on byte for byte; `benchmarks.corpus_kept` tries all files.

GATEWAY_CORPUS_KEPT=all takes every file here too.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.dataset.codecs import CODECS, missing
from tests.support.campaigns.corpus_kept import odd_subjects, run, subjects
from tests.support.campaigns.kept_edits import PASSED
from tests.support.corpus import corpus
from tests.support.load.raw_store import is_taken

IS_FULL = os.environ.get("GATEWAY_CORPUS_KEPT") == "all"
CUT = {"MR_truncated.dcm", "rtplan_truncated.dcm", "emri_small_jpeg_2k_lossless_too_short.dcm"}
NOT_CONVERTED = ("cannot be read as", "it cannot be re-encoded for sure", "needs the packages")
"""What a codec does not read, and big endian pixels whose order nobody knows: an operator reads why."""

pytestmark = [pytest.mark.peers, pytest.mark.timeout(1800 if IS_FULL else 600)]


async def test_what_archives_keep_is_passed_on_and_can_be_edited(tmp_path: Path) -> None:
    found, _ = subjects(path for path in corpus() if IS_FULL or path.stat().st_size < 1_000_000)
    files, odd = await run(tmp_path, found if IS_FULL else found[::12], odd_subjects())
    assert len(files) > 10
    assert len(odd) > 50
    assert not [row.subject.name for row in (*files, *odd) if row.is_lost]
    assert all(is_taken(row.status) and row.is_exact for row in odd)
    assert sum(all(row.kept_by.values()) for row in odd) > 40  # the archives were really asked
    reasons = {(row.subject.name, why) for row in odd for why in row.edits.values() if why != PASSED}
    assert not reasons
    for row in files:
        if row.subject.name in CUT:
            continue
        for why in row.edits.values():
            assert why == PASSED or any(words in why for words in NOT_CONVERTED), row.subject.name
    if not missing(CODECS):
        assert any(row.edits["to implicit"] == PASSED for row in files)
