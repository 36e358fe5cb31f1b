"""Nodes behind HAProxy under load, and faults of each part: kill -9 of a node, of the PostgreSQL server whose
standby is promoted, of the S3 server, and cut links. What was acknowledged arrives at each destination, with its bytes.

GATEWAY_FAULTS=200 makes it the full campaign; GATEWAY_FAULTS_SEED gives another one.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.support.campaigns.cluster_faults import Cluster, Senders
from tests.support.campaigns.kills import OUT_OF_RESOURCES, SUCCESS, check_arrivals

pytestmark = [pytest.mark.postgresql, pytest.mark.s3]

FAULTS = int(os.environ.get("GATEWAY_FAULTS", "1"))
NODES = 4 if FAULTS > 1 else 2
SEED = int(os.environ.get("GATEWAY_FAULTS_SEED", "20261130"))


@pytest.mark.timeout(900 + 60 * FAULTS)
async def test_faults_of_each_part_lose_nothing_acknowledged(tmp_path: Path) -> None:
    async with Cluster(tmp_path, random.Random(SEED), NODES) as cluster:
        async with Senders(cluster.haproxy.port) as senders:
            await senders.until_each_stores()
            for number in range(FAULTS):
                await cluster.fault(number, senders)
            await senders.until_each_stores()
        await cluster.idle(300.0 + 10 * FAULTS)
        print(cluster.table())
        logs = "".join(node.log[-4000:] for node in cluster.nodes.values())
        check_arrivals(senders.loads, cluster.sinks, FAULTS, frozenset({SUCCESS, OUT_OF_RESOURCES}), logs)
