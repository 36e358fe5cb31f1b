"""The presentation contexts that an association proposes to fetch instances from a source by C-GET. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.dimse.requestor.query_contexts import query_contexts
from gateway.model.associate import MOST_CONTEXTS, ProposedContext
from gateway.model.peer import Peer
from gateway.query.sop_classes import GET_OF_ROOT, MOVE_OF_ROOT

_UNCOMPRESSED = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")
_JPEG = tuple(f"1.2.840.10008.1.2.4.{end}" for end in ("50", "51", "57", "70"))
_LATER = tuple(f"1.2.840.10008.1.2.4.{end}" for end in ("80", "81", "90", "91", "92", "93"))
_NEWEST = tuple(f"1.2.840.10008.1.2.4.{end}" for end in ("110", "201", "202", "203"))
_RLE = ("1.2.840.10008.1.2.5",)
_VIDEO = tuple(f"1.2.840.10008.1.2.4.{end}" for end in ("100", "101", "102", "103", "104", "105", "106", "107", "108"))
_COMPRESSED = (*_JPEG, *_LATER, *_RLE, *_NEWEST, *_VIDEO)

_STORAGE = "1.2.840.10008.5.1.4.1.1."
USUAL_CLASSES = tuple(
    _STORAGE + end
    for end in (
        *("2", "2.1", "2.2"),  # CT, enhanced, legacy converted
        *("4", "4.1", "4.2", "4.4"),  # MR, enhanced, spectroscopy, legacy converted
        *("1", "1.1", "1.1.1", "1.2", "1.2.1"),  # CR, DX and MG for presentation and processing
        *("6.1", "3.1"),  # US and US multi-frame
        *("7", "7.1", "7.2", "7.3", "7.4"),  # secondary captures
        *("12.1", "12.2", "13.1.3"),  # XA, XRF, breast tomosynthesis
        *("20", "128", "130"),  # NM, PET, enhanced PET
        *("11.1", "66", "66.1", "66.4"),  # presentation state, raw data, registration, segmentation
        *("88.11", "88.22", "88.33", "88.34", "88.59", "88.67"),  # structured reports, key objects, dose reports
        *("104.1",),  # encapsulated PDF
        *("481.1", "481.2", "481.3", "481.5", "481.8"),  # radiotherapy
        *("77.1.1", "77.1.4", "77.1.5.1"),  # visible light
        *("9.1.1", "9.1.2"),  # electrocardiograms
    )
)
"""The storage SOP classes to propose to a source that does not say which classes its instances are of."""


def get_contexts(
    peer: Peer, sop_class_uids: Iterable[str], information_models: Iterable[str] = tuple(GET_OF_ROOT.values())
) -> tuple[ProposedContext, ...]:
    """The information models, and every storage class in as many contexts as there is room for: a source chooses one
    transfer syntax a context, and can send nothing else over it."""
    models = query_contexts(peer, information_models)
    room = MOST_CONTEXTS - len(models)
    classes = list(dict.fromkeys(sop_class_uids))[:room]
    listed = {context.abstract_syntax: context.transfer_syntaxes for context in peer.associate.contexts}
    groups = _groups(room // max(len(classes), 1))
    contexts = list(models)
    for uid in classes:
        mine = [(syntax,) for syntax in listed[uid]][: len(groups)] if uid in listed else groups
        contexts += [ProposedContext(uid, tuple(group)) for group in mine]
    return tuple(contexts)


def move_contexts(
    peer: Peer, information_models: Iterable[str] = tuple(MOVE_OF_ROOT.values())
) -> tuple[ProposedContext, ...]:
    """The information models."""
    return query_contexts(peer, information_models)


def _groups(room: int) -> list[Sequence[str]]:
    """All transfer syntaxes, in at most `room` groups."""
    ladder: tuple[list[Sequence[str]], ...] = (
        [(uid,) for uid in (*_UNCOMPRESSED, *_COMPRESSED)],
        [_UNCOMPRESSED, *((uid,) for uid in (*_JPEG, *_LATER, *_RLE)), _NEWEST, _VIDEO],
        [_UNCOMPRESSED, _JPEG, _LATER, _RLE, (*_NEWEST, *_VIDEO)],
        [_UNCOMPRESSED, _JPEG, (*_LATER, *_RLE, *_NEWEST, *_VIDEO)],
        [_UNCOMPRESSED, _COMPRESSED],
    )
    return next((groups for groups in ladder if len(groups) <= room), [(*_UNCOMPRESSED, *_COMPRESSED)])
