"""Defects of stock pynetdicom that fail or hang tests at random, mended for tests.

What goes over the wire is the same with and without this.
"""

from __future__ import annotations

import contextlib
import functools
import traceback
from typing import Any

from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.transport import AssociationSocket


def work_around() -> None:
    """Call it once a process."""
    _keep_responses()
    _close_sockets()
    _end_refused_requests()


def _keep_responses() -> None:
    """The reactor of an association may take the response that `send_c_store` waits for, when it passes its checkpoint
    just before the checkpoint is cleared; then the requestor waits for its whole DIMSE timeout.

    From here on a reactor that is to be paused takes no message.
    """
    taken = DIMSEServiceProvider.get_msg

    def get_msg(self: DIMSEServiceProvider, block: bool = False) -> Any:
        if not block and not self.assoc._reactor_checkpoint.is_set():
            return None, None
        return taken(self, block)

    DIMSEServiceProvider.get_msg = get_msg  # type: ignore[method-assign]


def _close_sockets() -> None:
    """A socket whose peer is gone cannot be shut down, and pynetdicom then leaves it open; Python warns of it in
    whichever test runs when the garbage is collected.

    From here on it is closed.
    """
    shut_down = AssociationSocket._shutdown_socket

    def shut_down_and_close(self: AssociationSocket) -> None:
        shut_down(self)
        if self.socket is not None:
            with contextlib.suppress(OSError):
                self.socket.close()

    AssociationSocket._shutdown_socket = shut_down_and_close  # type: ignore[method-assign]


def _end_refused_requests() -> None:
    """Where `AE.associate` refuses its keywords it leaves a socket, and a thread that keeps the process from ending.

    From here on both end.
    """
    associate = ApplicationEntity.associate

    @functools.wraps(associate)
    def associate_or_end(*args: Any, **kwargs: Any) -> Any:
        try:
            return associate(*args, **kwargs)
        except Exception as error:
            for frame, _ in traceback.walk_tb(error.__traceback__):
                if sock := frame.f_locals.get("sock"):
                    sock.close()
                if isinstance(assoc := frame.f_locals.get("assoc"), Association):
                    assoc.dul.kill_dul()
            raise

    ApplicationEntity.associate = associate_or_end  # type: ignore[method-assign]
