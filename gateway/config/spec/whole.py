"""A configuration as a whole: which sections there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from gateway.config.spec.collections import CollectionSpec
from gateway.config.spec.peers import GroupSpec, PeerSpec
from gateway.config.spec.process import GatewaySpec
from gateway.config.spec.query_retrieve import QueryRetrieveSpec
from gateway.config.spec.rules import CoercionSpec, RouteSpec
from gateway.config.spec.user_identities import IdentityMethodSpec
from gateway.config.spec.values import Name
from gateway.forms.described import Described
from gateway.forms.groups import ListOf
from gateway.forms.spec import Spec


@dataclass(frozen=True, kw_only=True)
class RulesSpec(Spec):
    """A configuration of the gateway: all `*.yaml` of the rules folder together."""

    gateway: GatewaySpec
    unmatched: Annotated[
        Literal["hold", "reject", "discard"],
        Described(
            description="An object that no route wants is kept until released, refused with 0x0124, or dropped.",
            examples=("hold",),
        ),
    ]
    unreadable: Annotated[
        Literal["reject", "hold"],
        Described(
            description="An object whose elements cannot be told apart, by a tolerant reader either, is refused with "
            "0xC000, or kept until released; then it goes out as it came. Of strict peers it is always refused."
        ),
    ] = "reject"
    keys: Annotated[
        Mapping[
            Name, Annotated[str, Described(min_length=1, description="At least 16 characters; write ${file:PATH}.")]
        ],
        Described(
            is_secret=True,
            description="Secrets that rules name, as for hash_uid; never shown.",
            examples=({"research": "${file:research.key}"},),
        ),
    ] = field(default_factory=dict)
    user_identities: Annotated[
        Mapping[Name, IdentityMethodSpec],
        Described(description="Ways to verify user identities, for `user_identity` of listeners and peers."),
    ] = field(default_factory=dict)
    conditions: Annotated[
        Mapping[Name, Annotated[Any, Described(definition="predicate")]],
        Described(
            description="Conditions with a name, for `condition: NAME` under `when`.",
            examples=({"head": {"modality": ["CT", "MR"]}},),
        ),
    ] = field(default_factory=dict)
    peers: Annotated[
        Mapping[Name, PeerSpec], Described(description="The peers: addresses, rights and settings of each.")
    ] = field(default_factory=dict)
    groups: Annotated[Mapping[Name, GroupSpec], Described(description="Several peers under one name.")] = field(
        default_factory=dict
    )
    collections: Annotated[
        Mapping[Name, CollectionSpec],
        Described(description="Studies and series as wholes, for `collection` of routes."),
    ] = field(default_factory=dict)
    coercions: Annotated[
        ListOf[CoercionSpec], Described(description="In order; each sees what the former changed.")
    ] = ()
    routes: Annotated[
        ListOf[RouteSpec], Described(description="In order; every one whose `when` holds contributes.")
    ] = ()
    query_retrieve: QueryRetrieveSpec | None = None
