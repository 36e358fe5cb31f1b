"""The presentation contexts that an association to a peer proposes, and the one that an object is sent over. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Iterable, Sequence

from pydicom.uid import UID

from gateway.dataset.native import alternatives, proposed_beside
from gateway.model.associate import MOST_CONTEXTS, ProposedContext

Kind = tuple[str, str]
"""(SOP class UID, transfer syntax UID)."""


class RecentContexts:
    """The presentation contexts that users of one peer needed lately. They are proposed again beside those needed now,
    so that an association stays useful to more than one of them."""

    def __init__(self, limit: int = MOST_CONTEXTS) -> None:
        self._limit = limit
        self._contexts: OrderedDict[ProposedContext, None] = OrderedDict()
        """The newest last."""

    def proposal(self, needed: Sequence[ProposedContext]) -> tuple[ProposedContext, ...]:
        """`needed` in their order, then those needed before, the newest first, as far as there is room. `needed` are
        the newest from now on."""
        contexts = self._contexts
        for context in reversed(needed):
            contexts[context] = None
            contexts.move_to_end(context)
        while len(contexts) > self._limit:
            contexts.popitem(last=False)
        return tuple(reversed(contexts))


class ConfiguredContexts:
    """The contexts of a peer's settings, which are proposed as they are; () leaves it to what is queued."""

    def __init__(self, contexts: Sequence[ProposedContext]) -> None:
        self.contexts = tuple(contexts)
        self._kinds = frozenset(kinds_of(self.contexts))

    def refusal(self, kind: Kind) -> str:
        """The reason why this kind cannot be sent in any of the contexts; empty when it can, or when none are given."""
        if not self.contexts or any((kind[0], syntax) in self._kinds for syntax in alternatives(kind[1])):
            return ""
        listed = dict.fromkeys(syntax for sop_class, syntax in kinds_of(self.contexts) if sop_class == kind[0])
        names = f"(it lists {', '.join(map(named, listed))})" if listed else "(it lists no such SOP class)"
        return f"{named(kind[0])} in {named(kind[1])} is not among the peer's configured contexts {names}"


def kinds_of(contexts: Iterable[ProposedContext]) -> list[Kind]:
    """Every SOP class and transfer syntax that the contexts name, in order."""
    return [(context.abstract_syntax, syntax) for context in contexts for syntax in context.transfer_syntaxes]


def propose(
    needed: Sequence[Kind], recent: RecentContexts, given: ConfiguredContexts, fallback: Sequence[str] = ()
) -> tuple[ProposedContext, ...]:
    """The contexts that are given; else those of the kinds needed now, first in line for the 128 places, then those
    needed lately.

    Each kind has the contexts of `contexts_of`, with those of `fallback`.
    """
    if given.contexts:
        return given.contexts
    candidates: dict[ProposedContext, None] = {}
    for sop_class, own in needed:
        candidates.update(dict.fromkeys(contexts_of(sop_class, own, fallback)))
        if len(candidates) >= MOST_CONTEXTS:
            break
    return recent.proposal(tuple(candidates))


def contexts_of(sop_class_uid: str, own: str, others: Iterable[str] = ()) -> list[ProposedContext]:
    """The contexts for an object that is stored in `own`, best first. Its own transfer syntax and those of `others`
    stand in contexts of their own: the peer accepts or rejects each, and the choice stays ours. The other native ones
    that it can be written in, Implicit VR Little Endian among them (PS3.5 §10.1), stand in one context, from which the
    peer chooses.
    """
    groups = [(own,), proposed_beside(own), *((syntax,) for syntax in others)]
    return [ProposedContext(sop_class_uid, group) for group in groups if group]


def taken_form(sop_class_uid: str, transfer_syntaxes: Iterable[str], accepted: Container[Kind]) -> str:
    """The first of the transfer syntaxes that an object can be sent in and the peer accepted; empty for none."""
    for syntax in transfer_syntaxes:
        if (sop_class_uid, syntax) in accepted:
            return syntax
    return ""


def named(uid: str) -> str:
    """`CT Image Storage (1.2.840…)`; the bare UID when the dictionary does not know it."""
    name = UID(uid).name
    return f"{name} ({uid})" if name != uid else uid
