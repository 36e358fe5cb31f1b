"""Peers: the application entities and other places that a configuration names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from gateway.model.associate import AssociateKeywords
from gateway.model.attribute_path import AttributePath
from gateway.model.delivery_window import DeliveryWindow
from gateway.model.listener import Timers
from gateway.model.security import Requirements


@dataclass(frozen=True, slots=True)
class Retry:
    """The times at which a deferred delivery is tried again."""

    first_delay_s: float = 10.0
    factor: float = 2.0
    max_delay_s: float = 600.0
    jitter: float = 0.1
    """Each delay is spread by up to this share, both ways."""
    give_up_after_s: float = 7 * 86400.0
    """Age of the delivery at which it becomes a dead letter."""


class DestinationSettings(Protocol):
    """The settings of a place that takes objects; `gateway.ports.kinds.DestinationKind` opens it."""

    def attributes(self) -> Iterable[AttributePath]:
        """The attributes that it reads of each object. Raises ValueError when its settings are none."""
        ...

    def place(self) -> str:
        """The place in words, for explanations: a folder, an address, a bucket. No secrets."""
        ...


@dataclass(frozen=True, slots=True)
class Peer:
    """A named place: an AE title with an address, a destination of another kind, or only a requestor."""

    name: str
    ae_title: str = ""
    host: str = ""
    """Empty for a peer that only calls us."""
    port: int = 0
    calling_ae_title: str = ""
    """Empty: the gateway's own. With ``{{``, one for each requestor (`gateway.routing.ae_title_templates`), like the
    called one."""
    is_calling_for_requestor: bool = False
    """`calling_ae_title` was made for one requestor. As Move Destination we are the gateway's own title then."""
    fault: str = ""
    """The reason why no association can be made for this requestor; empty when nothing stands in the way."""
    associate: AssociateKeywords = AssociateKeywords()
    may: frozenset[str] = frozenset()
    """The services that it may request: echo, store, find, move, get."""
    may_move_to: tuple[str, ...] = ()
    """Move Destinations that it may name; empty: any."""
    retrieve: Literal["auto", "get", "move"] = "auto"
    """As a source: how instances are fetched from it. auto: by C-GET where it takes that, else by C-MOVE to us."""
    hosts: tuple[str, ...] = ()
    """Addresses and networks (CIDR) it may call from; empty: any."""
    requires: Requirements = Requirements()
    """As a requestor: what it must show beside title and address."""
    accept_sop_classes: tuple[str, ...] = ()
    """As a requestor: only these abstract syntaxes; empty: any."""
    accept_transfer_syntaxes: tuple[str, ...] = ()
    """As a requestor: only these; empty: any."""
    prefer_transfer_syntaxes: tuple[str, ...] = ()
    """As a requestor: the first of these that a presentation context proposes is accepted; where it proposes none of
    them, the requestor's order decides."""
    log_objects: Literal["study", "object", "none"] | None = None
    """The log of the objects that come from it and go to it (`gateway.object_log`); None: as the gateway's settings
    say."""
    accepts_odd_uids: bool = False
    """It may store SOP Instance UIDs that are none by PS3.5 §9.1."""
    is_strict: bool = False
    """It is held to the letter of the standard, as requestor, source and destination (`gateway.leniency`)."""
    associations: int = 2
    """Parallel associations for deliveries."""
    window: DeliveryWindow | None = None
    """The times at which deliveries are sent; None: at any time."""
    bytes_per_s: float = 0.0
    """The most that deliveries send, over all associations; 0: without limit."""
    objects_per_s: float = 0.0
    """The same in objects."""
    keep_s: float = 0.0
    """The copy here of what was delivered to it is kept for so long; 0: as long as retention says."""
    fallback: tuple[str, ...] = ()
    """Transfer syntaxes to convert an object to, in order, that the peer refuses as it is; empty: it stays refused."""
    retry: Retry = Retry()
    is_duplicate_delivered: bool = True
    """0x0111 (Duplicate SOP Instance) says that it has the object; else it is a refusal."""
    most_refusals: int = 10
    """Objects in a row that it may refuse with the same status before it is left alone; 0: any number."""
    timers: Timers = Timers()
    destination: DestinationSettings | None = None
    """The place that takes objects where that is no application entity: a folder, or a kind of another package."""

    @property
    def is_destination(self) -> bool:
        """True when objects can be sent there."""
        return bool(self.host) or self.destination is not None


@dataclass(frozen=True, slots=True)
class PeerGroup:
    """Several destinations under one name."""

    name: str
    members: tuple[str, ...]
    """Names of peers; of groups that choose as well, where each gets the object. In the order of preference."""
    kind: Literal["all", "failover", "balance"] = "all"
    """all: each gets the object; failover: the first that is not given up; balance: the one with the fewest that
    wait."""
    after_s: float = 30.0
    """A member is given up when it has been down for so long."""
    is_moved_back: bool = True
    """Deliveries of a failover group that wait go back to a member that is up again."""
    after_doubt_s: float | None = None
    """A failover group gives what a member may have to the next one when it has been down for so long; None: never."""
    is_by_study: bool = True
    """The objects of a study go to one member of a balance group; else each is for itself."""
    remember_s: float = 7 * 86400.0
    """So long after the last object of a study a balance group may send it to another member."""

    @property
    def is_choosing(self) -> bool:
        """True when one of the members gets the object."""
        return self.kind != "all"

    def keeps_together(self, study_instance_uid: str) -> bool:
        """True when all objects of this study go to one member."""
        return self.kind == "balance" and self.is_by_study and bool(study_instance_uid)
