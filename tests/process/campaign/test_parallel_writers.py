"""Nodes that write to one schema at once, at random: nothing is lost, settled twice, or left over.

GATEWAY_WRITER_STEPS=5000 makes it the full campaign.
"""

from __future__ import annotations

import os

import pytest

from tests.support.parallel_writers import write_in_parallel
from tests.support.postgresql_server import shared_server

pytestmark = pytest.mark.postgresql

STEPS = int(os.environ.get("GATEWAY_WRITER_STEPS", "400"))


@pytest.mark.parametrize("writers", [2, 3, 4])
def test_whatever_nodes_do_at_once_adds_up(writers: int) -> None:
    total = write_in_parallel(shared_server().new_schema(), writers=writers, steps=STEPS, seed=writers)
    for count in (
        "instances",
        "deliveries",
        "settled",
        "forgotten",
        "held",
        "released",
        "retargeted",
        "sent again",
        "retried",
        "discarded",
        "folded",
    ):
        assert total[count] > 0
