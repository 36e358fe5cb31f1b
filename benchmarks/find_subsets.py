"""C-FIND with every subset of keys, with and without values, at every level of every information model: about 1 500
identifiers, asked of Orthanc, of dcmqrscp, and of gateways over each of them and with the same objects.

    python -m benchmarks.find_subsets

Prints a line a level; exits 1 when a gateway answers Success with other matches than the source.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.support.subset_site import PLACES, site_of
from tests.support.subsets import LEVELS, subsets


def main() -> int:
    """The exit code."""
    wrong = asked = 0
    with tempfile.TemporaryDirectory() as folder, site_of(Path(folder)) as site:
        for root, levels in LEVELS.items():
            for level in levels:
                table = list(subsets(root, level, with_values=True))
                for place in PLACES:
                    found = site.differences(place, table)
                    wrong += len(found)
                    asked += len(table)
                    print(
                        f"{root:13} {level:8} {place:9} {len(table):4} questions, {len(found)} differences", flush=True
                    )
                    print(*(f"    {each}" for each in found), sep="\n", end="\n" if found else "", flush=True)
    print(f"{asked} questions, {wrong} differences")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
