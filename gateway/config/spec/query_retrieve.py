"""The section `query_retrieve:`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from gateway.config.spec.values import (
    MISSING,
    NAME_OF_RULE,
    Actions,
    AETitleText,
    Condition,
    DurationText,
    RuleName,
    Text,
)
from gateway.forms.described import Described
from gateway.forms.groups import ListOf
from gateway.forms.spec import Spec


@dataclass(frozen=True, kw_only=True)
class RetrieveCoercionSpec(Spec):
    """A change of what is retrieved, on its way to some destinations."""

    stand_ins: ClassVar[Mapping[str, Any]] = {"then": [MISSING], "to": [MISSING]}

    to: Annotated[
        ListOf[Text],
        Described(min_length=1, description="Peers and groups. Of a C-GET: the requestor.", examples=(["pacs"],)),
    ]
    then: Actions
    when: Condition = None
    name: (
        Annotated[
            RuleName,
            Described(description=f"{NAME_OF_RULE} Default: coercion-NUMBER."),
        ]
        | None
    ) = None
    enabled: Annotated[bool, Described(description="false: checked, but never applied.")] = True


@dataclass(frozen=True, kw_only=True)
class HideSpec(Spec):
    """Studies that some peers do not see, neither in queries nor in retrieves. Decided by what each place says of a
    study: what it does not know is absent there. What one place hides is not shown from another."""

    when: Condition
    from_: (
        Annotated[
            ListOf[Text],
            Described(
                min_length=1,
                description="Peers and groups that do not see them. Default: all.",
                examples=(["research"],),
            ),
        ]
        | None
    ) = None
    name: (
        Annotated[
            RuleName,
            Described(description=f"{NAME_OF_RULE} Default: hide-NUMBER."),
        ]
        | None
    ) = None
    enabled: Annotated[bool, Described(description="false: checked, but never applied.")] = True


Servers = Annotated[ListOf[Text], Described(min_length=1)]


@dataclass(frozen=True, kw_only=True)
class RelaySpec(Spec):
    """Queries besides Query/Retrieve, and the peers that serve each. They are asked side by side; a thing that several
    of them know is answered once."""

    worklist: Annotated[Servers, Described(description="Modality Worklist (PS3.4 Annex K).", examples=(["ris"],))] = ()
    relevant_patient_information: Annotated[
        Servers, Described(description="Annex Q. The first that knows the patient is heard.", examples=(["pacs"],))
    ] = ()
    substance_administration: Annotated[
        Servers,
        Described(description="Product Characteristics and Substance Approval (Annex V).", examples=(["pacs"],)),
    ] = ()
    hanging_protocol: Annotated[Servers, Described(description="Annex U.", examples=(["pacs"],))] = ()
    defined_procedure_protocol: Annotated[Servers, Described(description="Annex HH.", examples=(["pacs"],))] = ()
    color_palette: Annotated[Servers, Described(description="Annex X.", examples=(["pacs"],))] = ()
    implant_template: Annotated[
        Servers, Described(description="Generic, assembly and group (Annex BB).", examples=(["pacs"],))
    ] = ()
    unified_procedure_step: Annotated[
        Servers, Described(description="Annex CC: the queries alone.", examples=(["pacs"],))
    ] = ()
    protocol_approval: Annotated[Servers, Described(description="Annex II.", examples=(["pacs"],))] = ()
    inventory: Annotated[Servers, Described(description="Annex JJ.", examples=(["pacs"],))] = ()
    repository_query: Annotated[
        Servers,
        Described(
            description="Repository Query (§C.6.4): one peer, for its Record Keys mean nothing to others. Not beside "
            "`hide`, which does not reach its answers.",
            examples=(["pacs"],),
        ),
    ] = ()


@dataclass(frozen=True, kw_only=True)
class QueryRetrieveSpec(Spec):
    """The sources of C-FIND, C-MOVE and C-GET, and the destinations of a C-MOVE. Without this section such requests
    are refused.
    """

    sources: Annotated[
        ListOf[Text],
        Described(
            description="`local` is what the gateway holds itself; others are names of peers. Asked side by side. "
            "May be left out where `relay` says what is passed on.",
            examples=(["local", "pacs"],),
        ),
    ] = ()
    move_destinations: Annotated[
        Mapping[AETitleText, Annotated[ListOf[Text], Described(min_length=1)]],
        Described(
            description="Move Destination AE title → peers and groups, beside the peers' own titles.",
            examples=({"ALLSITES": ["pacs", "vna"]},),
        ),
    ] = field(default_factory=dict)
    relay: RelaySpec | None = None
    check: Annotated[
        bool,
        Described(
            description="true: what a source answers beyond what it was asked is left out; where it contradicts a key "
            "that every source compares, the source counts as failed. false: it is passed on."
        ),
    ] = True
    patience: Annotated[
        DurationText,
        Described(
            description="How long a match waits for what slower sources say of the same thing. One that would have "
            "added to it later counts as failed."
        ),
    ] = "2 s"
    partial: Annotated[
        Literal["accept", "fail"],
        Described(
            description="A source that failed: the answer ends with a failure that names it, or goes on without it."
        ),
    ] = "fail"
    timeout: Annotated[DurationText, Described(description="How long a source may keep us waiting.")] = "30 s"
    no_progress: Annotated[
        DurationText,
        Described(
            description="How long a source that goes on answering a C-MOVE or C-GET may bring nothing: no instance, no "
            "part of one, and no counter that changes. Longer than `timeout`, for archives that fetch from tape first."
        ),
    ] = "5 min"
    longest: Annotated[
        DurationText,
        Described(
            description="How long one C-MOVE or C-GET of a source may take in all; what waits for our requestor does "
            "not count."
        ),
    ] = "4 h"
    limit: Annotated[
        int,
        Described(
            ge=0,
            le=10_000_000,
            description="The most matches of one C-FIND, which more end with 0xA700 (`partial: fail`); 0: all.",
        ),
    ] = 0
    coercions: Annotated[
        ListOf[RetrieveCoercionSpec],
        Described(description="In order; each sees what the former changed. What is kept here stays as it is."),
    ] = ()
    hide: Annotated[
        ListOf[HideSpec],
        Described(
            description="`when` is asked about studies: of what is known of a study and its patient, and of who asks."
        ),
    ] = ()
    keep_retrieved: Annotated[
        bool,
        Described(description="true: what is fetched from a source also arrives here, through coercions and routes."),
    ] = False
    move_originator: (
        Annotated[AETitleText, Described(description="Move Originator AE Title of C-STOREs. Default: the requestor's.")]
        | None
    ) = None
    keep: Annotated[
        DurationText,
        Described(
            description="How long an instance can be found and retrieved after its last delivery, where "
            "`spool.retention` is shorter. When room is low, the oldest go earlier."
        ),
    ] = "0 s"
