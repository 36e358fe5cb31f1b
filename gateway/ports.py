"""The extension author's page: what a part must offer, how a kind is registered, who must act on an error.

A *kind* of predicate or action is one frozen dataclass. Its fields are the settings, its docstring is the
documentation; configuration, JSON Schema and reference are made from it (`gateway.routing.kinds`). A kind with one
field takes the field's value directly (`modality: [MR]`), one with more takes a mapping of fields.
"""

from __future__ import annotations

import builtins
import dataclasses
import enum
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Final, Literal, Protocol, TypeVar, runtime_checkable

from gateway.completion import Completion
from gateway.likeness import Apart
from gateway.model import (
    AssociationFacts,
    Attempt,
    AttributePath,
    Attributes,
    Delivery,
    DeliveryState,
    Instance,
    Outcome,
    PayloadRef,
    Query,
    Route,
    Settlement,
)

# --- encoded data sets ------------------------------------------------------------------------------------------


class EncodedDataSet(Protocol):
    """The bytes of one data set in its transfer syntax, in memory or in a file. Close it when done."""

    @property
    def length_bytes(self) -> int: ...

    def view(self) -> memoryview:
        """All bytes as one read-only view; a large file is mapped, not read."""
        ...

    def chunks(self, size_bytes: int) -> Iterable[memoryview | bytes]:
        """The bytes in order in pieces of at most `size_bytes`; a large file is read piece by piece."""
        ...

    def close(self) -> None: ...


class DataSetReceiver(Protocol):
    """Takes the data set fragments of one incoming message while they arrive."""

    def write(self, fragment: memoryview) -> Awaitable[None] | None:
        """Keep a copy of `fragment`. An awaitable means: read no more from this peer until it is done.

        Raises:
            SpoolFull: there is no room. The rest of the message is read and thrown away, the answer is its status.
            ObjectTooLarge: the object is over the limit.
        """
        ...

    def finish(self) -> EncodedDataSet:
        """All fragments are there.

        Raises SpoolFull when what was written did not reach the disk.
        """
        ...

    def discard(self) -> None:
        """The message will not be completed, or nobody wants it; frees what was kept. May be called twice."""
        ...


# --- routing ----------------------------------------------------------------------------------------------------


class Facts(Protocol):
    """What predicates and templates see of an object."""

    @property
    def association(self) -> AssociationFacts: ...
    @property
    def sop_class_uid(self) -> str: ...
    @property
    def sop_instance_uid(self) -> str: ...
    @property
    def transfer_syntax_uid(self) -> str: ...
    @property
    def length_bytes(self) -> int: ...
    @property
    def received_at(self) -> datetime:
        """When the object arrived; what "now" means to rules."""
        ...

    def values(self, path: AttributePath) -> tuple[str, ...] | None:
        """The values at `path` as text, split at backslashes, padding gone; () when empty; None when absent."""
        ...

    def places(self, path: AttributePath) -> tuple[AttributePath, ...]:
        """Where the attribute of `path` is there, empty or not: one path an item, every ``*`` being an index."""
        ...


@runtime_checkable
class ReadTogether(Protocol):
    """Facts of an object that is read when somebody asks: who will ask for several attributes says so first."""

    def read(self, paths: Iterable[AttributePath]) -> None:
        """Read the object once for all of `paths`.

        Raises:
            Refusal: it is no data set, or inflates too far.
            Temporary, PayloadLost: it cannot be read now, or never again.
        """
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Edit:
    """One change of one element: `value` None removes it, else it is set (() makes it empty)."""

    path: AttributePath
    value: tuple[str, ...] | None
    where: Literal["always", "present", "missing"] = "always"
    """Only where the element is there, or only where it is absent or empty; decided for each item of a sequence."""


@dataclasses.dataclass(frozen=True, slots=True)
class Element:
    """One element as a `Rewrite` is shown it."""

    path: tuple[tuple[int, int], ...]
    """The sequences it lies in, outermost first: (sequence tag, item index from 0)."""
    tag: int
    vr: str
    """As encoded; where the encoding does not say it, the dictionary's; ``UN`` when nobody knows."""
    private_creator: str
    """Of a private element (PS3.5 §7.8); else empty."""
    values: tuple[str, ...]
    """As `Facts.values` gives them; () for what is empty, a sequence or binary."""
    length_bytes: int
    """Of the value, or of all items with their headers."""


class Decision(enum.Enum):
    """What a `Rewrite` may answer besides new values."""

    KEEP = "keep"
    REMOVE = "remove"


KEEP: Final = Decision.KEEP
"""Leave the element as it is; a kept sequence is descended into."""
REMOVE: Final = Decision.REMOVE
"""Take the element out, a sequence with all its items."""


@dataclasses.dataclass(frozen=True, slots=True)
class Repainted:
    """A binary value with some of its bytes changed; as rules see it, it stays as it is."""

    pieces: Callable[[memoryview], Sequence[bytes | memoryview]]
    """The new value field in pieces, made of the old one: of the same length. Raises Refusal."""


Change = Decision | tuple[str, ...] | Repainted
"""`KEEP`, `REMOVE`, or the new values as text: () empties, and leaves a sequence without items."""


class Rewrite(Protocol):
    """An edit of the whole object, decided element by element, at every level. Pure: it may be asked again.

    Elements that are the frame of others are not asked about: group lengths, item delimiters.
    """

    @property
    def tags(self) -> frozenset[int] | None:
        """Only these are asked about, at every level; all others are kept. None: every element."""
        ...

    def __call__(self, element: Element) -> Change:
        """Raises Refusal when the object must not go on in this form."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Recode:
    """Every text of the object in another Specific Character Set (0008,0005), at every level."""

    to: tuple[str, ...]
    """Defined terms (PS3.3 §C.12.1.1.2)."""
    undeclared: tuple[str, ...] = ()
    """What text beyond ASCII is read as when the object does not say; () refuses such an object."""


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """One more item of Original Attributes Sequence (0400,0561): what the changes before it changed (PS3.3
    §C.12.1.1.9). It records nothing when they changed nothing."""

    reason: str
    """COERCE or CORRECT."""
    system: str
    """Modifying System: who made the changes."""
    source: str
    """Source of Previous Values."""
    modified_at: datetime
    since: int = 0
    """How many changes before it count, set by whoever puts the changes of several actions together."""


Alteration = Edit | Rewrite | Recode | Record
"""What an action asks for."""


@dataclasses.dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of an object as a whole: actions with an attribute `fate` are decided when it is routed."""

    kind: Literal["drop", "reject", "hold"]
    """drop: it is not kept, and the sender is answered `status`, a success or warning. reject: the same with a failure.
    hold: what it owes waits for an operator."""
    status: int = 0x0000
    reason: str = ""
    """For the log, and of a rejection the Error Comment (0000,0902)."""


class Resources(Protocol):
    """What a configuration brings for its kinds besides their settings."""

    def table(self, path: str) -> Mapping[str, str]:
        """A CSV file of two columns, or a text file with one value a line (then every value is empty).

        Raises ValueError with what is wrong with it.
        """
        ...

    def key(self, name: str) -> bytes:
        """The secret of this name of the section `keys`. Raises ValueError when there is none."""
        ...

    def condition(self, name: str) -> Predicate:
        """What stands under this name in the section `conditions`. Raises ValueError when it cannot be used."""
        ...


class Predicate(Protocol):
    """Says whether a rule's condition holds.

    It never raises for what an object holds: a value that it cannot compare does not fit. For explanations it may have
    a method ``compared(facts, *, with_values: bool) -> str``: what it found, with values of the object, and with
    settings that give them away, only `with_values`. It may have a method ``keys()``, see `gateway.routing.keys`, so
    that it is asked only where it can hold. Of equal predicates that can be hashed one may be asked for all.
    """

    def __call__(self, facts: Facts) -> bool: ...

    def attributes(self) -> Iterable[AttributePath]:
        """The attributes it reads; `()` when it reads none."""
        ...


class Action(Protocol):
    """Says what changes in an object. A pure function of the facts."""

    def edits(self, facts: Facts) -> Iterable[Alteration]:
        """The changes, in order. Raises Refusal when the object must not go on in this form."""
        ...

    def attributes(self) -> Iterable[AttributePath]: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Conversion:
    """A change of a whole object that a worker process makes."""

    kind: str
    """A row of `gateway.dataset.conversions.KINDS`."""
    settings: Mapping[str, object] = dataclasses.field(default_factory=dict)
    """Plain values: they travel as JSON."""
    is_optional: bool = False
    """True when the object may go on as it is where this cannot be made."""


@runtime_checkable
class Converting(Protocol):
    """An action that changes the object as a whole, only under a route's `then`. Its edits are made after that."""

    def convert(self, facts: Facts) -> Conversion | None:
        """What is to be made of the object; None: it stays as it is. Raises Refusal."""
        ...


class Registry:
    """Kinds by name."""

    def __init__(self, noun: str) -> None:
        self.noun = noun
        self.kinds: dict[str, type] = {}
        self.names: dict[type, str] = {}
        """Of `kinds`, the other way round."""

    def __call__(self, name: str) -> Callable[[type[T]], type[T]]:
        def register(cls: type[T]) -> type[T]:
            if name in self.kinds:
                raise ValueError(f"{self.noun} {name!r} is registered twice")
            self.kinds[name] = cls
            self.names.setdefault(cls, name)
            return cls

        return register


T = TypeVar("T")
predicate = Registry("predicate")
action = Registry("action")

# --- durable queue ----------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Accepted:
    """What the queue says of one acceptance."""

    instance_id: int
    deliveries: int
    """New rows; fewer than routes when some were duplicates of what is still owed."""
    payload: PayloadRef | None = None
    """Where the bytes lie when every route was a duplicate: nothing names the payload that was given."""


@dataclasses.dataclass(frozen=True, slots=True)
class QueueDepth:
    """One row of the queue's statistics."""

    destination: str
    state: DeliveryState
    count: int
    size_bytes: int
    oldest_at: datetime | None


@dataclasses.dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries an operator means; empty fields mean any."""

    ids: tuple[int, ...] = ()
    instance_ids: tuple[int, ...] = ()
    destination: str | None = None
    state: DeliveryState | None = None
    sop_instance_uid: str = ""
    study_instance_uid: str = ""
    rule: str = ""
    created_before: datetime | None = None
    created_after: datetime | None = None


class Queue(Protocol):
    """Deliveries, durable. Synchronous; one thread uses one Queue object. Several processes may open the same queue.

    Every writing call happens inside `transaction()`; leaving it commits durably, an exception rolls all back.
    """

    def transaction(self, *, is_durable: bool = True) -> AbstractContextManager[object]:
        """`is_durable=False` may be lost with the power (never torn): for claims, which nothing acknowledged rests on.

        Raises SpoolFull when there is no room, Temporary when another process holds the queue for too long.
        """
        ...

    def accept(self, instance: Instance, routes: Sequence[Route], now: datetime) -> Accepted:
        """Add an instance and one delivery a route. Same SOP Instance UID, SOP class, transfer syntax, digest,
        destination and actions as a delivery that is still pending or held: no new row."""
        ...

    def accept_all(
        self,
        arrivals: Sequence[tuple[Instance, Sequence[Route]]],
        now: datetime,
        is_readable: Callable[[PayloadRef], bool] = lambda _: True,
    ) -> list[Accepted]:
        """The same for many at once, in order, in a few statements whatever their number.

        `is_readable` is asked of the payload of what is still owed: bytes that are lost make no duplicate of those
        that arrive.
        """
        ...

    def claim(
        self, destination: str, limit: int, lease_s: float, now: datetime, apart: Apart | None = None
    ) -> list[Delivery]:
        """Take due deliveries, oldest due first, then arrival order; nobody else gets them until the lease ends.

        With `apart` only those whose likeness is in none of its ranges, one likeness after the other from its `start`
        on, in arrival order each; the others cost nothing, however many they are. When there is none behind `start`,
        from the first likeness on.
        `due_at` of what is returned is when it was due before the claim: settling with it keeps the order.
        """
        ...

    def settle(self, settlements: Sequence[Settlement]) -> int:
        """Write attempts and states, fenced by the lease; the number that still held their lease."""
        ...

    def settle_each(self, settlements: Sequence[Settlement]) -> list[bool]:
        """The same; says of each whether it still held its lease."""
        ...

    def next_due(self, destination: str) -> datetime | None:
        """When the next pending delivery of `destination` becomes due; None when there is none."""
        ...

    def pending_destinations(self) -> list[str]:
        """Destinations that have pending deliveries, due or not."""
        ...

    def attempts(self, delivery_id: int) -> list[Attempt]:
        """The last attempts at a delivery, oldest first."""
        ...

    def depths(self) -> list[QueueDepth]:
        """Counts by destination and state of what is still kept for somebody: pending, dead and held."""
        ...

    def list(self, which: DeliveryFilter, limit: int, *, is_newest_first: bool = False) -> list[Delivery]:
        """Deliveries that fit, by arrival."""
        ...

    def retry(self, which: DeliveryFilter, now: datetime) -> int:
        """Dead and pending ones: due now, and given up as late as if they had arrived now; `created_at` stays."""
        ...

    def hold(self, which: DeliveryFilter) -> int: ...

    def release(self, which: DeliveryFilter, now: datetime, destination: str | None = None) -> int:
        """Held → pending: to `destination` when it is given, whatever they were held for, else to their own; those held
        without one stay then."""
        ...

    def discard(self, which: DeliveryFilter) -> int:
        """Delete dead, held and pending deliveries; what is under a lease stays."""
        ...

    def expire_leases(self) -> int:
        """At start, alone on the spool: leases of a process that is gone end now."""
        ...

    def forget(self, settled_before: datetime, limit: int, indexed_before: datetime | None = None) -> int:
        """Delete instances (and their rows) that owe nothing and settled earlier; dead and held ones stay. Of those in
        the index only what settled before `indexed_before`, when it is given."""
        ...

    def find(self, query: Query, limit: int = 0) -> Sequence[int]:
        """Keys of what fits `query` in the index, in a stable order, at most `limit` (0: all). Of instances with one
        SOP Instance UID the newest counts; an instance without an `index` was never in it."""
        ...

    def matches(self, query: Query, keys: Sequence[int]) -> builtins.list[Attributes]:
        """What a response to `query` says of these: each key of the query's level and above, in order; what was
        forgotten meanwhile is left out."""
        ...

    def find_instances(self, query: Query) -> Sequence[int]:
        """Identifiers of the instances below what fits `query`, study by study, series by series, as they arrived."""
        ...

    def instances(self, instance_ids: Sequence[int]) -> builtins.list[Instance]:
        """These instances, in order; what was forgotten meanwhile is left out."""
        ...

    def interrupt(self) -> None:
        """From any thread: a statement that runs ends with Temporary."""
        ...

    def payload_names(self) -> dict[str, int]:
        """Segment or file → the number of bytes that must be there (the end of its last payload)."""
        ...

    def spool_id(self) -> str:
        """Identity of the spool that the payloads lie in; empty when none was bound yet."""
        ...

    def bind_spool(self, spool_id: str) -> None:
        """Say which spool the payloads lie in."""
        ...

    def known_up_to(self) -> tuple[str, int]:
        """Up to where the queue knows the spool's segments: a segment's name and a position in it; ("", 0) at first."""
        ...

    def knows_up_to(self, name: str, end_bytes: int) -> None:
        """Say so, in the transaction that accepts what stands before."""
        ...

    def settle_on_disk(self) -> None:
        """Write something: when the durable transaction around it has ended, all before it is on disk as well."""
        ...

    def checkpoint(self) -> None:
        """Put what was committed into the database itself, outside a transaction; what fails is logged."""
        ...

    def surplus_pages(self) -> int | None:
        """Free pages that the file can do without; None for one that cannot give them back."""
        ...

    def shrink(self, most_pages: int) -> None:
        """Give up to so many free pages back to the file system."""
        ...

    def moved(self, *, is_quick: bool = False) -> str:
        """Why its path does not name what was opened any more; empty when it does. Any thread, a few system calls.

        What is written then would be lost with the next start. A quick look may leave out what loses nothing by itself.
        """
        ...

    def changes(self) -> int:
        """A number that differs after another connection wrote."""
        ...

    def close(self) -> None: ...


class Journal(Protocol):
    """The durable side as coroutines: one thread commits for everybody who waits."""

    @property
    def is_in_turn(self) -> bool:
        """True while objects come one after the other: `commit_soon` saves a task's ways through the event loop. When
        several come at once, these ways make the groups larger, which saves more."""
        ...

    def receiver(self) -> DataSetReceiver:
        """For one incoming data set. Raises SpoolFull below `min_free`."""
        ...

    async def commit(
        self,
        instance: Instance,
        body: EncodedDataSet,
        edited: Sequence[bytes | memoryview] | None,
        routes: Sequence[Route],
    ) -> Instance:
        """Return only when payload (`edited` pieces when given, else `body`), instance and deliveries are on disk.

        `instance.payload` is ignored; the answer carries the real one. `body` stays the caller's to close.
        Raises SpoolFull.
        """
        ...

    def commit_soon(
        self,
        instance: Instance,
        body: EncodedDataSet,
        edited: Sequence[bytes | memoryview] | None,
        routes: Sequence[Route],
    ) -> Completion[Instance] | None:
        """As `commit`, begun at once and without a task; None for what is too large for that: `commit` it then.

        Raises SpoolFull, also through the completion.
        """
        ...

    async def claim(
        self, destination: str, limit: int, lease_s: float, apart: Apart | None = None
    ) -> list[Delivery]: ...

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """Of each whether it still held its lease."""
        ...

    async def next_due(self, destination: str) -> datetime | None: ...

    async def depths(self) -> list[QueueDepth]: ...

    def open(self, payload: PayloadRef) -> EncodedDataSet:
        """The stored bytes. Raises PayloadLost, or Temporary when they cannot be read now."""
        ...

    def subscribe(self, listener: Callable[[str], None]) -> None:
        """`listener(destination)` is called on the event loop when `destination` may have new due deliveries."""
        ...

    def subscribe_to_operators(self, listener: Callable[[str], None]) -> None:
        """`listener(destination)` is called on the event loop when `destination` has pending deliveries and another
        process changed the queue: somebody retried, released, held or discarded."""
        ...


class Index(Protocol):
    """What the gateway holds, as coroutines: read beside the commits, which never wait for it."""

    def find(self, query: Query, limit: int = 0) -> AsyncGenerator[Sequence[Attributes]]:
        """Matches in batches, in a stable order: each has a value, or (), for every key of the query's level and above.
        Neither level, Retrieve AE Title nor Instance Availability are among them. At most `limit`; 0 is all.

        Close the iterator (`aclosing`) when it is left early. Raises Temporary when the index cannot be read now.
        """
        ...

    async def find_instances(self, query: Query) -> Sequence[int]:
        """Identifiers of the instances below what fits, study by study, series by series, as they arrived. 8 bytes
        each: their number is known before the first is read."""
        ...

    async def instances(self, instance_ids: Sequence[int]) -> list[Instance]:
        """These instances, in order; what was forgotten meanwhile is left out. Ask for some hundred at a time."""
        ...


# --- destinations -----------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Outbound:
    """One object on its way out, after its route's actions."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    body: EncodedDataSet
    facts: Facts


class Channel(Protocol):
    """One line to a destination; the courier uses it for one object at a time."""

    async def prepare(self, kinds: Sequence[tuple[str, str]]) -> None:
        """(SOP class UID, transfer syntax UID) pairs that come next, the very next one first.

        Raises:
            DestinationDown: it cannot be reached now.
            DestinationRefuses: it will not associate with us as configured.
        """
        ...

    def takes(self, kind: tuple[str, str]) -> bool:
        """True when this (SOP class UID, transfer syntax UID) can be sent over the line that `prepare` made."""
        ...

    async def send(self, outbound: Outbound) -> Outcome:
        """Send one object. Never raises for what a peer does."""
        ...

    async def close(self) -> None:
        """Release politely, within the peer's timers."""
        ...


class Destination(Protocol):
    """Opens channels."""

    @property
    def channels_at_once(self) -> int:
        """How many channels one worker may keep, of destinations that `on_behalf_of` gives."""
        ...

    def channel(self) -> Channel: ...

    def on_behalf_of(self, sender: AssociationFacts) -> Destination:
        """The destination as objects of this sender are sent there: itself, where that makes no difference.

        Raises:
            Refusal: nothing of this sender can be sent there.
        """
        ...


# --- conversions ------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Converted:
    """What a conversion made."""

    body: EncodedDataSet
    """A data set of its own; the source may be closed."""
    transfer_syntax_uid: str
    sop_instance_uid: str = ""
    """Of a new, derived object; empty: as before."""


class Converter(Protocol):
    """Makes conversions where a codec that crashes or hangs harms nobody."""

    async def convert(self, body: EncodedDataSet, transfer_syntax_uid: str, conversion: Conversion) -> Converted:
        """`body` stays open.

        Raises:
            Refusal: it cannot be made of this object; also when it crashed, took too long or too much memory.
            Temporary: not now.
            PayloadLost: the bytes of `body` are gone.
        """
        ...


# --- measuring --------------------------------------------------------------------------------------------------


STRANGER = "(stranger)"


def peer_label(association: AssociationFacts) -> str:
    """The value of the `peer` label for a requestor: strangers share one, so that nobody can make labels."""
    return association.peer or STRANGER


class Meter(Protocol):
    """Counts and observes by metric name, see `gateway.metrics` for the names."""

    def count(self, name: str, amount: float = 1, /, **labels: str) -> None: ...
    def observe(self, name: str, value: float, /, **labels: str) -> None: ...
    def set(self, name: str, value: float, /, **labels: str) -> None: ...


class NoMeter:
    """Measures nothing."""

    def count(self, name: str, amount: float = 1, /, **labels: str) -> None: ...
    def observe(self, name: str, value: float, /, **labels: str) -> None: ...
    def set(self, name: str, value: float, /, **labels: str) -> None: ...


# --- errors, sorted by who must act -----------------------------------------------------------------------------


class GatewayError(Exception):
    """Root of what this package raises on purpose. The message says what, where and what to do."""

    dimse_status = 0x0110  # Processing failure (PS3.7 §C.5)


class Temporary(GatewayError):
    """The peer may send again."""

    dimse_status = 0xA700


class SpoolFull(Temporary):
    """No space left for incoming instances."""

    dimse_status = 0xA700  # Refused: Out of Resources (PS3.4 §B.2.3)


class Refusal(GatewayError):
    """This object, in this form, will not be taken."""

    dimse_status = 0xC000


class Unreadable(Refusal):
    """The encoded data set is not what its transfer syntax says."""

    dimse_status = 0xC000  # Error: Cannot understand (PS3.4 §B.2.3)


class ClassMismatch(Refusal):
    """SOP class or instance of the data set, of the command and of the presentation context disagree."""

    dimse_status = 0xA900  # Error: Data Set does not match SOP Class (PS3.4 §B.2.3)


class NotAllowed(Refusal):
    """The requestor may not do this, or no rule wants the object."""

    dimse_status = 0x0124  # Refused: Not Authorized (PS3.7 §C.5)


def fit_for_log(error: GatewayError) -> str:
    """The text of an error; of a plain Refusal nothing, since it is an action's and its text may quote the object."""
    return "" if type(error) is Refusal else str(error)


class RejectedByRule(Refusal):
    """A rule says that the object is not taken."""

    def __init__(self, message: str, status: int, rule: str) -> None:
        super().__init__(message)
        self.dimse_status = status
        self.rule = rule


class ObjectTooLarge(Refusal):
    """Over the configured limit."""

    dimse_status = 0xA700


@dataclasses.dataclass(frozen=True, slots=True)
class PeerFailure:
    """Where it ended to associate with a peer, for programs; the error's message is for people."""

    step: Literal["name", "connect", "connect_timeout", "certificate", "tls", "no_answer", "rejected", "ended"]
    """The host's name is not found; TCP; its certificate is not taken; TLS otherwise; no answer to A-ASSOCIATE-RQ;
    A-ASSOCIATE-RJ; A-ABORT, or the end of the connection, before an answer."""
    reject: tuple[int, int, int] = (0, 0, 0)
    """Result, source and reason (PS3.8 §9.3.4), of a rejection."""


class PeerError(GatewayError):
    """A peer cannot be asked or sent to. `failure` is None where the association was open already."""

    def __init__(self, message: str, failure: PeerFailure | None = None) -> None:
        super().__init__(message)
        self.failure = failure


class DestinationDown(PeerError):
    """We retry: the peer does not answer, or refuses associations for now."""


class DestinationRefuses(PeerError):
    """An operator fixes: the peer will not associate with us as configured."""


class NoContextAccepted(DestinationRefuses):
    """The peer associates, but takes none of the presentation contexts that were proposed."""


class PayloadUnreadable(Temporary):
    """We retry: the disk gave an error where stored bytes lie. They may be whole; no destination is to blame."""


class PayloadMissing(PayloadUnreadable):
    """The file of stored bytes is not there, or ends before them. It may come back."""


class PayloadLost(GatewayError):
    """An operator fixes: stored bytes were read, and are not what they were."""


class ConfigurationError(GatewayError):
    """An operator fixes: exit code 78."""
