"""The `query_retrieve:` section → `QueryRetrieve`."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.common import setting_faults as faults
from gateway.common.quantity import duration_s
from gateway.config.compile_context import Context
from gateway.config.destination_names import Names, expand
from gateway.config.spec.query_retrieve import QueryRetrieveSpec, RelaySpec
from gateway.config.spec.values import MISSING
from gateway.config.tree import Place
from gateway.forms.groups import settings
from gateway.model.peer import Peer
from gateway.model.query import LOCAL
from gateway.model.settings import QueryRetrieve


def compile_query_retrieve(
    spec: QueryRetrieveSpec, place: Place, peers: Mapping[str, Peer], names: Names, context: Context
) -> QueryRetrieve:
    """The section `query_retrieve`. A setting with a problem is reported and left out."""
    if LOCAL in names.peers:
        message = f"a peer is named `{LOCAL}`, which stands for the gateway itself here; give the peer another name"
        context.findings.error(place.at("sources").holder, "ambiguous-source", message)
    destinations = {}
    for title, words in spec.move_destinations.items():
        at = place.at("move_destinations", title)
        destinations[title.strip(" ")] = expand(words, at, names.peers_behind(), context)
        _check_dicom(words, at, peers, names, context)
    if not spec.sources and spec.relay is None:
        message = "nobody is asked: write at least one of the `sources`, or what `relay` passes on"
        context.error(place.at("sources"), "empty", message)
    if spec.relay is not None and spec.relay.repository_query:
        _check_repository(spec, spec.relay.repository_query, place.at("relay", "repository_query"), context)
    keep_s = duration_s(spec.keep)
    if keep_s and LOCAL not in spec.sources:
        message = f"`keep` means nothing without `{LOCAL}` among the `sources`; leave it out"
        context.findings.warning(place.at("keep").holder, "no-effect", message)
    sources = _sources(spec.sources, place.at("sources"), peers, names, context)
    before = spec.sources[: spec.sources.index(LOCAL)] if LOCAL in spec.sources else ()
    return QueryRetrieve(
        is_local=LOCAL in spec.sources,
        sources=sources,
        local_rank=sum(name in before for name in sources),
        patience_s=duration_s(spec.patience),
        is_checked=spec.check,
        relay=_relay(spec.relay, place, peers, names, context),
        move_destinations={title: members for title, members in destinations.items() if members},
        partial=spec.partial,
        timeout_s=context.positive_s(place, "timeout", text=spec.timeout),
        no_progress_s=context.positive_s(place, "no_progress", text=spec.no_progress),
        longest_s=context.positive_s(place, "longest", text=spec.longest),
        limit=spec.limit,
        keep_s=keep_s,
        keep_retrieved=spec.keep_retrieved,
        move_originator="" if spec.move_originator is None else spec.move_originator.strip(" "),
    )


def _check_repository(spec: QueryRetrieveSpec, words: tuple[str, ...], place: Place, context: Context) -> None:
    """Repository Query (PS3.4 §C.6.4)."""
    if spec.hide:
        message = "Repository Query answers of studies, and `hide` does not reach its answers; leave out one of the two"
        context.findings.error(place.holder, "not-hidden", message)
    if len(set(words)) > 1:
        message = "Repository Query goes to one peer: its Record Keys mean nothing to others; write one name"
        context.error(place.at(1), "not-a-source", message)


def _check_dicom(
    words: tuple[str, ...], place: Place, peers: Mapping[str, Peer], names: Names, context: Context
) -> None:
    """Check that instances are moved to DICOM peers only: no C-MOVE goes into a folder."""
    for index, word in enumerate(words):
        at = place.at(index)
        folders = [name for name in names.members.get(word, ()) if name in peers and not peers[name].host]
        if folders == [word]:
            context.error(at, "not-a-destination", f"{at.shown} is a folder; a C-MOVE goes to DICOM peers")
        elif folders:
            message = f"{at.shown} holds the folder `{folders[0]}`; a C-MOVE goes to DICOM peers"
            context.error(at, "not-a-destination", message)


def _relay(
    spec: RelaySpec | None, place: Place, peers: Mapping[str, Peer], names: Names, context: Context
) -> dict[str, tuple[str, ...]]:
    if spec is None:
        return {}
    served = {
        name: _sources(getattr(spec, name), place.at("relay", name), peers, names, context, others=frozenset())
        for name in settings(RelaySpec)
    }
    return {name: found for name, found in served.items() if found}


def _sources(
    words: tuple[str, ...],
    place: Place,
    peers: Mapping[str, Peer],
    names: Names,
    context: Context,
    others: frozenset[str] = frozenset({LOCAL}),
) -> tuple[str, ...]:
    """Names of enabled peers, each once; `others` are good besides."""
    found: dict[str, None] = {}
    for index, word in enumerate(words):
        at = place.at(index)
        if word in words[:index] and word != MISSING:
            context.findings.warning(at.mark, "duplicate-source", f"`{word}` stands here twice; it is asked once")
        if word in others or word == MISSING:
            continue
        if word in names.groups and word not in names.peers:
            meant = " or ".join(("a peer", *(f"`{other}`" for other in others)))
            context.error(at, "not-a-source", f"{at.shown} is a group; expected {meant}")
        elif word not in names.peers:
            if context.is_complete:
                message = faults.no_such_name("peer", at.shown, word, names.peers | others)
                context.error(at, "unknown-source", message)
        elif word in peers and not peers[word].host:
            context.error(at, "not-a-source", f"{at.shown} has no `address`: it cannot be asked")
        elif word in peers:
            found[word] = None
    return tuple(found)
