"""C-FIND with every subset of {unique keys, two other attributes} at each level of each information model: the gateway
answers what the source itself answers, from its index, over Orthanc and over dcmqrscp, or says that it cannot.

One set-up serves the whole table. `python -m benchmarks.find_subsets` asks the whole of it, with values too.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.model.query import QueryRoot
from tests.support.subset_site import PLACES, Site, site_of
from tests.support.subsets import LEVELS, subsets

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site_of(tmp_path_factory.mktemp("subsets")) as site:
        yield site


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("root", "level"), [(root, level) for root, levels in LEVELS.items() for level in levels])
def test_every_subset_of_keys(site: Site, place: str, root: QueryRoot, level: str) -> None:
    asked = list(subsets(root, level, with_values=False))
    assert len(asked) == 2 ** (3 + LEVELS[root].index(level))
    assert site.differences(place, asked) == []


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("root", "level"), [("patient", "PATIENT"), ("study", "STUDY"), ("study", "SERIES")])
def test_every_subset_of_keys_with_values(site: Site, place: str, root: QueryRoot, level: str) -> None:
    assert site.differences(place, list(subsets(root, level, with_values=True))) == []
