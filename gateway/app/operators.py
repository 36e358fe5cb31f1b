"""The gateway's side of operators' verbs over HTTP (`gateway.web.operators.OperatorSurface`)."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime

import structlog

from gateway.common.setting_faults import names_nothing
from gateway.common.steady_clock import utc_now
from gateway.operations.background_verbs import BackgroundVerbs
from gateway.operations.delivery_listing import is_known_destination
from gateway.operations.operation_listing import list_operations, show_operation
from gateway.operations.queue_administration import Operator
from gateway.operations.undoing import CannotUndo, undo
from gateway.operations.verb_request import WrongRequest, read_request, read_undo
from gateway.ports.errors import GatewayError, Temporary
from gateway.ports.store_access import StoreAccess
from gateway.spool.journal_state import JournalClosed
from gateway.web.operators import Answer

log = structlog.get_logger()
NO_DESTINATION = "is no destination"


class GatewayOperators:
    """Verbs on the store of a gateway that runs. `destinations`: those of the rules in force, by name."""

    def __init__(
        self,
        access: StoreAccess,
        destinations: Callable[[], Collection[str]],
        wall: Callable[[], datetime] = utc_now,
    ) -> None:
        self._access = access
        self._destinations = destinations
        self._wall = wall
        self._verbs = BackgroundVerbs(access, wall)

    async def end(self) -> None:
        """Stop what is under way, between two transactions."""
        await self._verbs.end()

    async def begin_verb(self, name: str, body: Mapping[str, object], operator: str) -> Answer:
        """202 with its operation; 200 for a dry run, and where nothing fits."""
        return await answered(self._begin_verb(name, body, operator))

    async def _begin_verb(self, name: str, body: Mapping[str, object], operator: str) -> Answer:
        request = read_request(name, body, self._wall())
        if request.to and request.to not in self._destinations():
            raise WrongRequest(f"`to`: {names_nothing(request.to, NO_DESTINATION, self._destinations())}")
        named = request.which.destination
        if named and named not in self._destinations() and not await is_known_destination(self._access, named):
            raise WrongRequest(f"`filter.destination`: {names_nothing(named, NO_DESTINATION, self._destinations())}")
        begun = await self._verbs.begin(request, Operator(by_http(operator), request.why))
        described = {
            "verb": name,
            "dry_run": request.is_dry_run,
            "meant": begun.meant,
            "operation": begun.operation_id,
            "left_out": begun.left_out,
        }
        return Answer(202 if begun.operation_id else 200, described)

    async def operations(self, limit: int) -> Answer:
        """200 with the last ones, the newest first."""
        return await answered(self._operations(limit))

    async def _operations(self, limit: int) -> Answer:
        return Answer(200, {"operations": await list_operations(self._access, limit, self._wall())})

    async def operation(self, operation_id: int) -> Answer:
        """200 with one and how far it is; 404 when the record does not have it."""
        return await answered(self._operation(operation_id))

    async def _operation(self, operation_id: int) -> Answer:
        found = await show_operation(self._access, operation_id, self._wall())
        return (
            Answer(404, {"message": f"there is no operation {operation_id}"}) if found is None else Answer(200, found)
        )

    async def undo(self, operation_id: int, body: Mapping[str, object], operator: str) -> Answer:
        """200 with the numbers of what it put back."""
        return await answered(self._undo(operation_id, body, operator))

    async def _undo(self, operation_id: int, body: Mapping[str, object], operator: str) -> Answer:
        why, is_dry_run = read_undo(body)
        by = Operator(by_http(operator), why)
        undone = await undo(self._access, operation_id, by, self._wall(), is_dry_run=is_dry_run)
        if not is_dry_run:
            fields = {"verb": undone.verb, "deliveries": undone.done, "user": by.name}
            log.info("operation_undone", operation=operation_id, **fields)
        return Answer(200, dataclasses.asdict(undone) | {"dry_run": is_dry_run})


async def answered(work: Awaitable[Answer]) -> Answer:
    """The answer of `work`, or that of its error."""
    try:
        return await work
    except WrongRequest as error:
        return Answer(400, {"message": str(error)})
    except CannotUndo as error:
        return Answer(409, {"message": str(error)})
    except (Temporary, JournalClosed) as error:
        return Answer(503, {"message": str(error)})
    except GatewayError as error:
        return Answer(500, {"message": str(error)})


def by_http(operator: str) -> str:
    """The operator as the record names them."""
    return f"{operator} (HTTP)"
