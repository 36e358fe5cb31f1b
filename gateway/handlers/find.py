"""C-FIND: the local index and every source asked side by side, their answers merged (PS3.4 §C.4.1).

========== =========================================================================================================
status     when
========== =========================================================================================================
0xFF00     a match; 0xFF01 when an optional key of the identifier is known to nobody who answered
0x0000     these were all; under `partial: accept` also when a source failed or the limit cut the answer
0x0122     the rules name nobody to ask for this SOP class
0xA700     there are more than `query_retrieve.limit` matches: the first ones were sent
0xA900     the identifier has no level, or not the keys that its model asks for
0xC000     the identifier cannot be read
0xC001     a source failed, under `partial: fail`; what the others said was sent
0xFE00     C-CANCEL
========== =========================================================================================================
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from gateway.dimse.pynetdicom_contract.event import Event
from gateway.dimse.services.served import INTERRUPTED, count_find
from gateway.handlers.find_statuses import Yielded, log_find
from gateway.handlers.query_retrieve_find import matching
from gateway.handlers.relayed_find import relayed
from gateway.model.dimse_status import FIND_HANDLER_FAILED
from gateway.model.final_status import FinalStatus
from gateway.ports.errors import GatewayError
from gateway.query.sop_classes import ROOT_OF
from gateway.sources.query_backends import QueryBackends


class FindHandler:
    """`evt.EVT_C_FIND`."""

    def __init__(self, backends: QueryBackends) -> None:
        self._backends = backends

    async def __call__(self, event: Event) -> AsyncGenerator[Yielded]:
        """Matches, each as ``(status, identifier)`` or some together, then the final status where it is not Success."""
        began_s = time.monotonic()
        outcome = INTERRUPTED
        is_query_retrieve = event.sop_class_uid in ROOT_OF
        answers = matching(event, self._backends) if is_query_retrieve else relayed(event, self._backends)
        try:
            async with aclosing(answers):
                async for answer in answers:
                    if isinstance(answer, tuple) and isinstance(answer[0], FinalStatus):
                        outcome = str(answer[0])
                    yield answer
                if outcome == INTERRUPTED:
                    outcome = "0xFE00" if event.is_cancelled else "0x0000"
        except GatewayError as error:
            final = error.final_status()
            outcome = str(final)
            log_find(event, "find_refused", status=outcome, reason=str(error))
            yield final, None
        except Exception:
            outcome = f"0x{FIND_HANDLER_FAILED:04X}"
            raise
        finally:
            count_find(self._backends.meter, event.facts, outcome, time.monotonic() - began_s)
