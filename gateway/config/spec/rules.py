"""The sections `coercions:` and `routes:`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from gateway.config.spec.values import MISSING, NAME_OF_RULE, Actions, Condition, DurationText, RuleName, Text
from gateway.forms.described import Described
from gateway.forms.groups import ListOf
from gateway.forms.spec import Spec


@dataclass(frozen=True, kw_only=True)
class CoercionSpec(Spec):
    """A change of what arrives, before routing; it holds for what is kept and for what is sent."""

    stand_ins: ClassVar[Mapping[str, Any]] = {"then": [MISSING]}

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
class RouteSpec(Spec):
    """A route: a condition, actions and destinations of objects."""

    stand_ins: ClassVar[Mapping[str, Any]] = {"name": MISSING}

    name: RuleName
    to: (
        Annotated[
            ListOf[Text],
            Described(
                min_length=1,
                description="Names of peers and groups, and templates that give one such name for each object. Where a "
                "template gives an empty text or a name that no enabled destination and no group has, the object is "
                "held for nobody, with this reason. A route that drops or rejects has no `to`.",
                examples=(["pacs"], ["{{ association.called_ae_title | lookup('called.csv', 'pacs') }}"]),
            ),
        ]
        | None
    ) = None
    when: Condition = None
    then: Actions = None
    priority: Annotated[
        str,
        Described(
            title="priority",
            description="urgent, normal or low; from sender: as the C-STORE request says; or a template that gives one "
            "of these words, or a Requested Procedure Priority. Urgent deliveries go before the others of their "
            "destination, low ones after them.",
            pattern=r"^(urgent|normal|low|from sender)$(?!\n)|\{\{",
            examples=("urgent", "from sender", "{{ RequestedProcedurePriority }}"),
        ),
    ] = "normal"
    pass_window: Annotated[
        bool, Described(description="true: what is urgent is sent also while the window of its destination is closed.")
    ] = False
    collection: (
        Annotated[
            Text,
            Described(
                description="A name in `collections`: objects wait until their study or series is whole. Default: each "
                "is sent when it comes.",
                examples=("chest",),
            ),
        ]
        | None
    ) = None
    stop: Annotated[bool, Described(description="true: when this route holds, no later one is asked.")] = False
    one_association: Annotated[
        bool,
        Described(
            description="true: what waits of one study for one destination goes over one association with nothing "
            "else in it, in the order of Series Number and Instance Number; what has no number is last. An object that "
            "comes when all is sent has an association of its own, as has what must be sent again. More than 128 "
            "presentation contexts are split over several associations, which the log says. Without a Study Instance "
            "UID an object goes as ever.",
        ),
    ] = False
    keep: (
        Annotated[
            DurationText,
            Described(
                description="For so long after delivery the copy here is kept, so that it can be sent again; the "
                "longest `keep` of the routes and peers of an object counts. When room is short, the oldest such "
                "copies go. Default: `gateway.spool.retention`.",
                examples=("7 d",),
            ),
        ]
        | None
    ) = None
    enabled: Annotated[bool, Described(description="false: checked, but never applied.")] = True
