"""One row of the contract, what a handler of a row is given, and short ways to write what handlers yield."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pynetdicom import evt

from tests.support.dimse.query_rig import IDENTIFIER, image, match

EVENTS = {
    "echo": evt.EVT_C_ECHO,
    "store": evt.EVT_C_STORE,
    "find": evt.EVT_C_FIND,
    "get": evt.EVT_C_GET,
    "move": evt.EVT_C_MOVE,
}
WAIT_S = 60.0
"""Only guards against hanging."""


@dataclass(slots=True)
class Run:
    """What a handler of a row is bound with: one side's try of the row."""

    port: int
    """The port of the move destination."""
    notes: list[str] = field(default_factory=list)
    """What the handler noted of what it saw."""
    went_on: threading.Event = field(default_factory=threading.Event)
    """Set by the requestor when it has done what the row says."""
    server: Any = None
    """With `bind` and `unbind`."""

    @property
    def there(self) -> tuple[Any, ...]:
        """The move destination."""
        return "127.0.0.1", self.port

    def note(self, **values: Any) -> None:
        """Note what the handler saw."""
        self.notes += [f"{name}={value!r}" for name, value in values.items()]

    def wait(self) -> None:
        """Until the requestor has done what the row says."""
        assert self.went_on.wait(WAIT_S)

    def wait_for_cancel(self, event: Any) -> bool:
        """Ask the event whether a C-CANCEL came, as handlers do, until it says so."""
        deadline_s = time.monotonic() + WAIT_S
        while not event.is_cancelled:
            assert time.monotonic() < deadline_s
            time.sleep(0.001)
        return True


Handler = Callable[[Any, Run], Any]


@dataclass(frozen=True, slots=True)
class Row:
    """A sentence of the documentation, tried.

    Attributes:
        name: unique, and readable.
        service: the request that the requestor sends.
        handler: called with the event and a `Run`; None: nothing is bound.
        sees: what the requestor sees, response by response, separated by "; " (`bench.shown`).
        notes: what the handler noted.
        stored: numbers of the images that C-STORE sub-operations brought; None: both sides bring the same.
        request: elements of the request beside the usual ones.
        identifier: of the request.
        release_after: an A-RELEASE-RQ is sent when the requestor has seen so many responses; None: none is sent.
        cancel_after: a C-CANCEL is sent when the requestor has seen so many responses; None: none is sent.
        is_echoed: the requestor sends a C-ECHO behind the request: what it sees of it shows that the association lives,
            and that the request has no response.
        ends: how the association ends by itself.
        is_repeated: the requestor sends the request again when it has the response.
        shows_requests: the destination notes move originator and priority of each C-STORE request.
        shows_associations: what the destination saw of each association that was made to it is compared too.
    """

    name: str
    service: str
    handler: Handler | None
    sees: str
    notes: tuple[str, ...] = ()
    stored: tuple[str, ...] | None = None
    request: Mapping[str, Any] = field(default_factory=dict)
    identifier: bytes | None = IDENTIFIER
    release_after: int | None = None
    cancel_after: int | None = None
    is_echoed: bool = False
    ends: str = ""
    shows_requests: bool = False
    shows_associations: bool = False
    is_repeated: bool = False


class Image(NamedTuple):
    """Yields ``(0xFF00, image)``; what its C-STORE is answered depends on the number (`STORE_STATUSES`)."""

    number: int


class Match(NamedTuple):
    """Yields ``(status, match)`` of a C-FIND."""

    number: int
    status: Any = 0xFF00


class There(NamedTuple):
    """Yields the move destination, with keywords when there are any."""

    keywords: Any = ()


STORE_STATUSES = {2: 0xA700, 3: 0xB000, 4: 0x1234, 5: 0xFE00, 6: 0x0107, 7: 0x0000}
"""By number of an image; others are answered 0x0000."""


def made(item: Any, run: Run) -> Any:
    """What is yielded for an item of a row; fresh each time, since an engine may change it."""
    if isinstance(item, Image):
        return 0xFF00, image(item.number)
    if isinstance(item, Match):
        return item.status, match(item.number)
    if isinstance(item, There):
        return run.there if item.keywords == () else (*run.there, item.keywords)
    return item() if callable(item) else item


def yielding(*items: Any) -> Handler:
    """A generator function that yields what `items` say; an exception among them is raised."""

    def handler(event: Any, run: Run) -> Iterator[Any]:
        for item in items:
            if isinstance(item, BaseException):
                raise item
            yield made(item, run)

    return handler


def returning(value: Any) -> Handler:
    """A plain function that returns `value`, or raises it."""

    def handler(event: Any, run: Run) -> Any:
        if isinstance(value, BaseException):
            raise value
        return made(value, run)

    return handler


def saying(status: Any = None, **more: Any) -> Dataset:
    """A status as a data set."""
    dataset = Dataset()
    if status is not None:
        dataset.Status = status
    for keyword, value in more.items():
        tag = tag_for_keyword(keyword)
        assert tag is not None
        dataset.add(DataElement(tag, dictionary_VR(tag), value, validation_mode=IGNORE))
    return dataset


def failed(*uids: str) -> Dataset:
    """A data set with a Failed SOP Instance UID List."""
    return saying(FailedSOPInstanceUIDList=list(uids))
