"""A race of stock pynetdicom that costs a test minutes on a loaded machine, closed for tests.

The reactor of an association may take the response that `send_c_store` waits for, when it passes its checkpoint just
before the checkpoint is cleared; then the requestor waits for its whole DIMSE timeout. What goes over the wire is the
same with and without this.
"""

from __future__ import annotations

from typing import Any

from pynetdicom.dimse import DIMSEServiceProvider


def keep_responses() -> None:
    """From here on a reactor that is to be paused takes no message. Call it once a process."""
    taken = DIMSEServiceProvider.get_msg

    def get_msg(self: DIMSEServiceProvider, block: bool = False) -> Any:
        if not block and not self.assoc._reactor_checkpoint.is_set():
            return None, None
        return taken(self, block)

    DIMSEServiceProvider.get_msg = get_msg  # type: ignore[method-assign]
