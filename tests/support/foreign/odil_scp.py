"""A storage SCP with Debian's python3-odil, to be run by the system's Python: `odil_scp.py PORT FOLDER`."""

from __future__ import annotations

import sys
from typing import Any

import odil  # type: ignore[import-not-found, unused-ignore]


def main(port: int, folder: str) -> None:
    """Serve one association after the other; each object becomes a file named by its SOP Instance UID."""

    def keep(request: Any) -> int:
        request = odil.messages.CStoreRequest(request)
        with odil.open(f"{folder}/{request.get_affected_sop_instance_uid()}", "wb") as stream:
            odil.Writer.write_file(request.get_data_set(), stream)
        return 0x0000

    while True:
        association = odil.Association()
        try:
            association.receive_association("v4", port)
            scp = odil.StoreSCP(association)
            scp.set_callback(keep)
            while True:
                scp(association.receive_message())
        except Exception as error:  # released, aborted, or not readable
            print(error, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
