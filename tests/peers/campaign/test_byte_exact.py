"""Real objects through the gateway, byte for byte; see `benchmarks.byte_exact`, which runs all senders and files.

GATEWAY_BYTE_EXACT=all takes every file here too.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.campaigns.byte_exact import Campaign
from tests.support.campaigns.byte_exact_page import RECEIVERS, page

REFUSED = {
    # the data set ends inside an element: 0xC000
    "MR_truncated.dcm",
    "emri_small_jpeg_2k_lossless_too_short.dcm",
    "rtplan_truncated.dcm",
    # the data set has another SOP Instance UID than its file meta information, from which pynetdicom takes it: 0xA900
    "badVR.dcm",
    "bad_sequence.dcm",
    "chrJapMulti.dcm",
    "chrJapMultiExplicitIR6.dcm",
    "rtdose.dcm",
    "rtdose_1frame.dcm",
    "rtdose_expb.dcm",
    "rtdose_expb_1frame.dcm",
    "rtplan.dcm",
    # the data set has no SOP Instance UID: 0xA900
    "chrSQEncoding.dcm",
    "no_meta_group_length.dcm",
}
"""What the gateway rightly refuses. A DICOMDIR is no object of a storage SOP class either."""

IS_FULL = os.environ.get("GATEWAY_BYTE_EXACT") == "all"

pytestmark = [pytest.mark.peers, pytest.mark.timeout(3600 if IS_FULL else 900)]


@pytest.fixture
async def campaign(tmp_path: Path) -> AsyncIterator[Campaign]:
    async with Campaign(tmp_path) as running:
        yield running


def chosen(corpus: tuple[Path, ...], every: int) -> list[Path]:
    """All files, or every n-th that is not large."""
    if IS_FULL:
        return list(corpus)
    return [path for path in corpus if path.stat().st_size < 1_000_000][::every]


@pytest.mark.parametrize(
    ("sender", "every"),
    [("storescu", 4), ("dcmsend", 4), ("stock pynetdicom", 4), ("Orthanc", 8)],
    ids=["storescu", "dcmsend", "pynetdicom", "Orthanc"],
)
async def test_every_object_arrives_as_it_was_sent(
    campaign: Campaign, corpus: tuple[Path, ...], sender: str, every: int
) -> None:
    paths = chosen(corpus, every)
    counters = await campaign.run(sender, paths)
    print(page("", [counters], paths))
    assert counters.sent > len(paths) / 2
    assert {path.name for path in counters.refused} <= REFUSED | {
        path.name for path in paths if "DICOMDIR" in path.name
    }
    assert not counters.differing, "\n".join(
        f"{path.name} {receiver}: {what}" for path, receiver, what in counters.differing
    )
    assert {name: counters.equal[name] for name in RECEIVERS} == {name: counters.without[name] for name in RECEIVERS}
