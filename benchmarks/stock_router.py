"""What the gateway is compared with: a router in 40 lines on stock pynetdicom.

It saves what arrives and forwards it from a thread over one association that it keeps. Nothing is durable.
"""

import queue
import sys
import threading
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, StoragePresentationContexts, evt

port, folder, forward_port = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])  # forward port 0: store only
waiting: queue.Queue[Dataset] = queue.Queue()
folder.mkdir(parents=True, exist_ok=True)


def store(event: Any) -> int:
    dataset = event.dataset
    dataset.file_meta = event.file_meta
    dataset.save_as(folder / f"{dataset.SOPInstanceUID}.dcm", enforce_file_format=True)
    if forward_port:
        waiting.put(dataset)
    return 0x0000


def forward() -> None:
    ae = AE("ROUTER")
    ae.requested_contexts = StoragePresentationContexts
    association = ae.associate("127.0.0.1", forward_port)
    while True:
        dataset = waiting.get()
        if not association.is_established:
            association = ae.associate("127.0.0.1", forward_port)
        association.send_c_store(dataset)


threading.Thread(target=forward, daemon=True).start() if forward_port else None
server = AE("ROUTER")
server.maximum_associations = 1000
server.supported_contexts = AllStoragePresentationContexts
server.start_server(("127.0.0.1", port), evt_handlers=[(evt.EVT_C_STORE, store)])
