"""Which presentation contexts an association to a peer proposes. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

from pydicom.uid import UID

from gateway.model import ProposedContext

MAX_CONTEXTS = 128
"""Presentation context IDs are the odd numbers from 1 to 255 (PS3.8 §9.3.2.2)."""

Kind = tuple[str, str]
"""(SOP class UID, transfer syntax UID)."""


class RecentKinds:
    """The kinds that a destination was sent lately, newest last: proposed again, so that associations stay useful."""

    def __init__(self, limit: int = MAX_CONTEXTS) -> None:
        self.limit = limit
        self._kinds: OrderedDict[Kind, None] = OrderedDict()

    def add(self, kinds: Iterable[Kind]) -> None:
        """Note that these are in use."""
        for kind in kinds:
            self._kinds[kind] = None
            self._kinds.move_to_end(kind)
        while len(self._kinds) > self.limit:
            self._kinds.popitem(last=False)

    def newest_first(self) -> list[Kind]:
        """All that are remembered."""
        return list(reversed(self._kinds))


class Narrowing:
    """The transfer syntaxes that a peer's settings allow for the SOP classes they list; other classes are free."""

    def __init__(self, contexts: Sequence[ProposedContext]) -> None:
        allowed: dict[str, dict[str, None]] = {}
        for context in contexts:
            allowed.setdefault(context.abstract_syntax, {}).update(dict.fromkeys(context.transfer_syntaxes))
        self._allowed: Mapping[str, dict[str, None]] = allowed
        pairs = [(sop_class, syntax) for sop_class, syntaxes in allowed.items() for syntax in syntaxes]
        self._rank = {pair: place for place, pair in enumerate(pairs)}

    def refusal(self, kind: Kind) -> str:
        """Why this kind is not proposed; empty when it may be."""
        allowed = self._allowed.get(kind[0])
        if allowed is None or kind[1] in allowed:
            return ""
        names = ", ".join(named(uid) for uid in allowed)
        return f"{named(kind[0])} in {named(kind[1])} is not among the peer's configured contexts (it lists {names})"

    def ordered(self, kinds: Sequence[Kind]) -> list[Kind]:
        """Listed kinds in the settings' order, then the others as they come."""
        return sorted(kinds, key=lambda kind: self._rank.get(kind, len(self._rank)))


def propose(
    needed: Sequence[Kind], recent: RecentKinds, narrowing: Narrowing, fallback: Sequence[str] = ()
) -> tuple[ProposedContext, ...]:
    """One context per kind: those needed now first in line for the 128 places, then those used lately.

    Each is followed by its SOP class in the transfer syntaxes of `fallback`. They stand in contexts of their own, so
    that the peer says of each whether it takes it, and the choice stays ours: the one that keeps the object as it is.
    """
    kinds = (*needed, *recent.newest_first())
    candidates = dict.fromkeys((sop_class, syntax) for sop_class, own in kinds for syntax in (own, *fallback))
    chosen = [kind for kind in candidates if not narrowing.refusal(kind)][:MAX_CONTEXTS]
    return tuple(ProposedContext(sop_class, (syntax,)) for sop_class, syntax in narrowing.ordered(chosen))


def named(uid: str) -> str:
    """`CT Image Storage (1.2.840…)`; the bare UID when the dictionary does not know it."""
    name = UID(uid).name
    return f"{name} ({uid})" if name != uid else uid
