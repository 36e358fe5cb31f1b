"""`gateway store migrate` that ends itself by SIGKILL after so many steps: `python -m … FROM TO STEPS`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from gateway.config import process_settings
from gateway.dataset.identity import identify
from gateway.migration import copying
from gateway.migration.migrate import migrate


def main(source: str, destination: str, steps: int) -> None:
    """Exits 0 when the migration is over before."""
    copying.INSTANCES_AT_ONCE, copying.ROWS_AT_ONCE = 10, 20
    sides = [process_settings(Path(each), os.environ) for each in (source, destination)]
    assert sides[0] is not None
    assert sides[1] is not None
    left = steps

    def count(table: str, rows: int) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    migrate(sides[0], sides[1], identify=identify, progress=count)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
