"""The `query_retrieve:` section → `QueryRetrieve`."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import UNSET

from gateway.config.context import Context
from gateway.config.explain import MISSING
from gateway.config.findings import did_you_mean
from gateway.config.rules import Names, expand
from gateway.config.spec import QueryRetrieveSpec
from gateway.config.tree import Place
from gateway.model import Peer, QueryRetrieve
from gateway.quantity import duration_s

LOCAL = "local"
"""The source that is the gateway itself."""


def compile_query_retrieve(
    spec: QueryRetrieveSpec, place: Place, peers: Mapping[str, Peer], names: Names, context: Context
) -> QueryRetrieve:
    """What is wrong is reported and left out."""
    if LOCAL in names.peers:
        message = f"a peer is named `{LOCAL}`, which stands for the gateway itself here; give the peer another name"
        context.findings.error(place.at("sources").holder, "ambiguous-source", message)
    destinations = {}
    for title, words in spec.move_destinations.items():
        at = place.at("move_destinations", title)
        destinations[title.strip(" ")] = expand(words, at, names, context)
        _check_dicom(words, at, peers, names, context)
    keep_s = duration_s(spec.keep)
    if keep_s and LOCAL not in spec.sources:
        message = f"`keep` means nothing without `{LOCAL}` among the `sources`; leave it out"
        context.findings.warning(place.at("keep").holder, "no-effect", message)
    return QueryRetrieve(
        is_local=LOCAL in spec.sources,
        sources=_sources(spec.sources, place.at("sources"), peers, names, context),
        move_destinations={title: members for title, members in destinations.items() if members},
        partial=spec.partial,
        timeout_s=context.positive_s(place, "timeout", text=spec.timeout),
        limit=spec.limit,
        keep_s=keep_s,
        keep_retrieved=spec.keep_retrieved,
        move_originator="" if spec.move_originator is UNSET else spec.move_originator.strip(" "),
    )


def _check_dicom(
    words: tuple[str, ...], place: Place, peers: Mapping[str, Peer], names: Names, context: Context
) -> None:
    """Nothing is moved into a folder."""
    for index, word in enumerate(words):
        at = place.at(index)
        folders = [name for name in names.members.get(word, ()) if name in peers and not peers[name].host]
        if folders == [word]:
            context.error(at, "not-a-destination", f"{at.shown} is a folder; a C-MOVE goes to DICOM peers")
        elif folders:
            message = f"{at.shown} holds the folder `{folders[0]}`; a C-MOVE goes to DICOM peers"
            context.error(at, "not-a-destination", message)


def _sources(
    words: tuple[str, ...], place: Place, peers: Mapping[str, Peer], names: Names, context: Context
) -> tuple[str, ...]:
    """Names of enabled peers, each once."""
    found: dict[str, None] = {}
    for index, word in enumerate(words):
        at = place.at(index)
        if word in words[:index] and word != MISSING:
            context.findings.warning(at.mark, "duplicate-source", f"`{word}` stands here twice; it is asked once")
        if word in (LOCAL, MISSING):
            continue
        if word in names.groups and word not in names.peers:
            context.error(at, "not-a-source", f"{at.shown} is a group; a source is a peer, or `{LOCAL}`")
        elif word not in names.peers:
            if context.is_complete:
                near = did_you_mean(word, sorted(names.peers | {LOCAL}))
                context.error(at, "unknown-source", f"no peer is named {at.shown}{near}")
        elif word in peers and not peers[word].host:
            context.error(at, "not-a-source", f"{at.shown} has no `address`: it cannot be asked")
        elif word in peers:
            found[word] = None
    return tuple(found)
