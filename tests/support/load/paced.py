"""C-STOREs at a given pace over several associations, a thread each: the waiting times when there is no queue."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence

from tests.support.load.generator import Target, open_association, receive_pdu
from tests.support.load.objects import sample
from tests.support.load.wire import (
    RELEASE_RQ_PDU,
    Context,
    StoreRequest,
    associate_rq,
    instance_uid,
    read_command,
    us,
)


def paced(target: Target, size_bytes: int, associations: int, per_second: float, seconds: float) -> Sequence[float]:
    """Seconds from the first byte of each request to its answer, in order of size. An association that is late sends at
    once. Raises AssertionError for a status other than 0x0000."""
    run = random.SystemRandom().randrange(10**12)
    found: list[float] = []
    errors: list[BaseException] = []

    def send(number: int) -> None:
        try:
            found.extend(_send(target, size_bytes, (run, number), associations / per_second, seconds))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=send, args=[number], daemon=True) for number in range(associations)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return sorted(found)


def _send(
    target: Target, size_bytes: int, place: tuple[int, int], interval_s: float, seconds: float
) -> Sequence[float]:
    what = sample(size_bytes)
    contexts = [Context(1, what.sop_class_uid, (what.transfer_syntax_uid,))]
    connection, negotiated = open_association(target, associate_rq(target.called, target.calling, contexts))
    request = StoreRequest(1, what.sop_class_uid, what.data_set, what.uid_at, negotiated.max_pdu_bytes or 131072)
    found: list[float] = []
    buffer = bytearray()
    run, number = place
    with connection:
        began_s = time.perf_counter()
        next_s = began_s + random.SystemRandom().random() * interval_s
        while next_s < began_s + seconds:
            time.sleep(max(0.0, next_s - time.perf_counter()))
            data = request.patch(len(found) % 0xFFFF + 1, instance_uid(run, number * 10**6 + len(found)))
            sent_s = time.perf_counter()
            connection.sendall(data)
            _, body = receive_pdu(connection, buffer)
            found.append(time.perf_counter() - sent_s)
            assert us(read_command(bytes(body[6:])), 0x0900) == 0x0000
            next_s = max(next_s + interval_s, time.perf_counter())
        connection.sendall(RELEASE_RQ_PDU)
        receive_pdu(connection, buffer)
    return found
