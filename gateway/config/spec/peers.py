"""The sections `peers:` and `groups:`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from gateway.config.spec.associate import AssociateSpec
from gateway.config.spec.security import CertificateSpec, IdentityCheckSpec
from gateway.config.spec.timers import TimersSpec
from gateway.config.spec.values import (
    AETitleTemplate,
    AETitleText,
    DurationText,
    HostAndPort,
    Name,
    ObjectRateText,
    RateText,
    SOPClassName,
    Text,
    TransferSyntaxes,
    WindowText,
)
from gateway.forms.described import Described
from gateway.forms.groups import ListOf
from gateway.forms.spec import Spec


@dataclass(frozen=True, kw_only=True)
class AcceptSpec(Spec):
    """As a requestor: what we accept from the peer; without a list, everything."""

    sop_classes: (
        Annotated[
            ListOf[SOPClassName],
            Described(
                min_length=1, description="Only these SOP classes are accepted from it; all of storage by default."
            ),
        ]
        | None
    ) = None
    transfer_syntaxes: (
        Annotated[
            TransferSyntaxes,
            Described(description="Only these transfer syntaxes are accepted from it; all by default."),
        ]
        | None
    ) = None
    prefer: (
        Annotated[
            TransferSyntaxes,
            Described(
                description="The first of these that a presentation context proposes is accepted (PS3.8 §9.3.3.2). "
                "Default, and where it proposes none of them: the first that the requestor lists."
            ),
        ]
        | None
    ) = None
    uids: Annotated[
        Literal["any", "standard"],
        Described(
            description="SOP Instance UIDs of what it stores: `standard` takes at most 64 digits and dots (PS3.5 "
            "§9.1), leading zeros too; `any` also letters, dashes and 128 characters, for senders that make such."
        ),
    ] = "standard"


@dataclass(frozen=True, kw_only=True)
class RetrySpec(Spec):
    """The times at which a delivery that could not be made is tried again."""

    first: Annotated[DurationText, Described(description="First delay.")] = "10 s"
    factor: Annotated[float, Described(ge=1, le=100, description="Each further delay is this much longer.")] = 2.0
    max: Annotated[DurationText, Described(description="Longest delay.")] = "10 min"
    jitter: Annotated[float, Described(ge=0, le=1, description="Each delay is spread by up to this share.")] = 0.1
    give_up_after: Annotated[
        DurationText,
        Described(
            description="Age at which a delivery becomes a dead letter, once it was tried; the time in which no "
            "gateway runs does not count."
        ),
    ] = "7 d"


@dataclass(frozen=True, kw_only=True)
class DeliverySpec(Spec):
    """The delivery of objects to the peer."""

    associations: Annotated[int, Described(ge=1, le=64, description="Associations in parallel.")] = 2
    window: (
        Annotated[
            tuple[WindowText, ...],
            Described(
                min_length=1,
                description="Deliveries are begun only at these times of the week; outside of them they wait, which "
                "counts neither as a try nor as age. Default: at any time.",
                examples=(["Mo-Fr 18:00-06:00", "Sa,Su"],),
            ),
        ]
        | None
    ) = None
    time_zone: (
        Annotated[
            Text,
            Described(
                description="The zone of `window`, whose changes of the clock it follows. Default: this machine's.",
                examples=("Europe/Berlin",),
            ),
        ]
        | None
    ) = None
    rate: (
        Annotated[
            RateText,
            Described(
                description="The most that deliveries send to it, over all associations together. An object larger "
                "than a second's worth goes at full speed, and the next one waits for longer. Default: without limit."
            ),
        ]
        | None
    ) = None
    objects: (
        Annotated[ObjectRateText, Described(description="The same in objects, beside `rate`. Default: without limit.")]
        | None
    ) = None
    fallback: (
        Annotated[
            TransferSyntaxes,
            Described(
                description="What the peer refuses as it is, is converted to the first of these that works and that it "
                "takes. Without it such an object becomes a dead letter."
            ),
        ]
        | None
    ) = None
    retry: RetrySpec = RetrySpec()
    duplicate: (
        Annotated[
            Literal["delivered", "failure"],
            Described(
                description="What 0x0111 (Duplicate SOP Instance) of the peer means: it has the object, which is "
                "noted, or a dead letter. Default: `delivered`, and `failure` where `strict` is true."
            ),
        ]
        | None
    ) = None
    refusals: Annotated[
        int,
        Described(
            ge=0,
            le=100_000,
            description="After so many objects in a row that the peer refused with the same status, or for which it "
            "accepted no presentation context at all, it is down: what is queued waits, and one object at a time, of "
            "another study or SOP class, is tried by `retry`. When it takes one, only what is like those refused waits "
            "on. The ones before are dead letters; 0: all are.",
        ),
    ] = 10


@dataclass(frozen=True, kw_only=True)
class FolderSpec(Spec):
    """A folder that takes Part 10 files."""

    path: Annotated[
        Text,
        Described(
            description="Template of a file's path; relative to the working folder.",
            examples=("/data/{{ StudyInstanceUID }}/{{ SOPInstanceUID }}.dcm",),
        ),
    ]
    root: (
        Annotated[
            Text,
            Described(
                description="No file leaves this folder. Default: what stands before the first template.",
                examples=("/srv/images",),
            ),
        ]
        | None
    ) = None
    on_conflict: Annotated[
        Literal["keep", "number", "replace"],
        Described(description="A file with other bytes is there: refuse ours, replace it, or write beside it."),
    ] = "number"
    access: Annotated[
        Literal["group", "others", "owner"],
        Described(
            description="Who may read files and folders: the gateway's user, its group too, or every user of the "
            "machine. Except with `others`, nothing is written into a `root` that every user may list or enter."
        ),
    ] = "owner"


@dataclass(frozen=True, kw_only=True)
class RequirementsSpec(Spec):
    """The proofs that a requestor must give, beside its AE title and address, to be taken for the peer. Without them
    the association is rejected, also under `admit: any`.
    """

    tls: Annotated[bool, Described(description="true: only over TLS.")] = False
    listener: (
        Annotated[
            tuple[Name, ...],
            Described(description="Only over this listener, or one of these.", examples=("secure",)),
        ]
        | None
    ) = None
    certificate: (
        Annotated[
            CertificateSpec, Described(description="Only with such a client certificate, verified by `client_ca`.")
        ]
        | None
    ) = None
    user_identity: IdentityCheckSpec | None = None


@dataclass(frozen=True, kw_only=True)
class PeerLogSpec(Spec):
    """The log of the objects of one peer."""

    objects: (
        Annotated[
            Literal["none", "object", "study"],
            Described(
                description="The log of the objects that come from this peer and that are delivered to it. Default: "
                "`gateway.log.objects`."
            ),
        ]
        | None
    ) = None


@dataclass(frozen=True, kw_only=True)
class PeerSpec(Spec):
    """A named place: a DICOM node with an address, a folder, or only a requestor."""

    ae_title: AETitleText | None = None
    address: HostAndPort | None = None
    folder: FolderSpec | None = None
    calling_ae_title: (
        Annotated[
            AETitleTemplate,
            Described(
                description="With which we call. A template over `association` passes on that of the requestor: the "
                "sender of an object, who queries or retrieves. Default: ours."
            ),
        ]
        | None
    ) = None
    associate: AssociateSpec = AssociateSpec()
    may: Annotated[
        ListOf[Literal["echo", "find", "get", "move", "store"]],
        Described(description="The services that it may request. C-ECHO is always included."),
    ] = ()
    may_move_to: Annotated[
        ListOf[AETitleText],
        Described(description="Move Destinations that it may name. Default: any.", examples=(["WS1", "ALLSITES"],)),
    ] = ()
    retrieve: Annotated[
        Literal["auto", "get", "move"],
        Described(
            description="As a source of retrieves: by C-GET, or by C-MOVE to us, for which it needs our AE title and "
            "address, and `may: [store]` here. auto: by C-GET where it takes that."
        ),
    ] = "auto"
    hosts: Annotated[
        ListOf[Text],
        Described(
            description="Addresses and networks that it may call from. Default: any; what it sends for a C-MOVE to "
            "ourselves, from its `address`.",
            examples=(["10.1.0.0/16"],),
        ),
    ] = ()
    requires: RequirementsSpec = RequirementsSpec()
    accept: AcceptSpec = AcceptSpec()
    strict: (
        Annotated[
            bool,
            Described(
                description="true: what of this peer breaks the standard is refused as the standard says, also where "
                "archives take it (docs/leniency.md). Default: `gateway.strict`, which is false."
            ),
        ]
        | None
    ) = None
    delivery: DeliverySpec = DeliverySpec()
    log: PeerLogSpec = PeerLogSpec()
    keep: (
        Annotated[
            DurationText,
            Described(
                description="For so long after delivery to the peer the copy here is kept, as with `keep` of a route.",
                examples=("7 d",),
            ),
        ]
        | None
    ) = None
    timers: TimersSpec = TimersSpec()
    enabled: Annotated[
        bool,
        Described(description="false: checked, but neither called nor admitted; where `to` names it, it is skipped."),
    ] = True


@dataclass(frozen=True, kw_only=True)
class GroupSpec(Spec):
    """Several peers under one name. It has one of `all`, `failover` and `balance`."""

    not_yet: ClassVar[Mapping[str, str]] = {
        "first": "is written `failover: […]`: the first of these that is up",
        "any": "is written `balance: […]` (one of them each), or `failover: […]` (the first of these that is up)",
    }

    @classmethod
    def instead_of(cls, value: object, text: str) -> str:
        return "; write the peers as `all: […]`" if isinstance(value, list) else super().instead_of(value, text)

    all: (
        Annotated[
            ListOf[Text],
            Described(
                min_length=1,
                description="Each of these peers and groups gets the object.",
                examples=(["pacs", "vna"],),
            ),
        ]
        | None
    ) = None
    failover: (
        Annotated[
            ListOf[Text],
            Described(
                min_length=1,
                description="The first of these peers that is not given up gets the object. The members of another "
                "failover group may stand here by its name.",
                examples=(["pacs_a", "pacs_b"],),
            ),
        ]
        | None
    ) = None
    balance: (
        Annotated[
            ListOf[Text],
            Described(
                min_length=1,
                description="One of these peers gets the object, so that each has its share of the work. The members "
                "of another balance group may stand here by its name.",
                examples=(["ai1", "ai2", "ai3"],),
            ),
        ]
        | None
    ) = None
    by: Annotated[
        Literal["study", "object"],
        Described(
            description="Of `balance`: all objects of a study go to one member, or each object is for itself, as those "
            "without a Study Instance UID always are."
        ),
    ] = "study"
    choose: Annotated[
        Literal["least_waiting"],
        Described(
            description="Of `balance`: a new study goes to the member for which the fewest deliveries wait, among "
            "those that are up, in turn where these are equal."
        ),
    ] = "least_waiting"
    remember: Annotated[
        DurationText,
        Described(
            description="Of `balance`: so long after the last object of a study its next one goes to the same member."
        ),
    ] = "7 d"
    after: Annotated[
        DurationText,
        Described(
            description="Of `failover` and `balance`: a member that has been down for so long is given up, and what "
            "waits for it goes to the next one, or to others."
        ),
    ] = "30 s"
    after_doubt: (
        Annotated[
            DurationText,
            Described(
                description="Of `failover`: when a member has been down for so long, the next one gets also what it "
                "may have, since it was sent there whole and got no response. Such an object may be at both. A member "
                "that a reload takes away or disables counts as down for so long. Without this it waits for "
                "its member.",
                examples=("1 h",),
            ),
        ]
        | None
    ) = None
    back: Annotated[
        Literal["never", "when up"],
        Described(
            description="Of `failover`: what waits at another member goes back to one that is up again, or stays. What "
            "arrives goes to the first one that is up in any case."
        ),
    ] = "when up"
