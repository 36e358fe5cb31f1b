"""Refusals of one destination in a row, and what is kept from it because of them.

After some of the same kind in a row it is the destination that is in trouble, and not the objects: it is held, and
tried with one object at a time, of another study, sender or kind than those that it refused. When it takes such a one,
it is up again, and only what is like those refused goes on to wait; of that one object is tried now and then.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from random import Random

from gateway.delivery.retry import delay_s
from gateway.model.delivery import Delivery, Refused
from gateway.model.likeness import ExcludedLikenesses, Range, alone, likeness_of, of_its_kind
from gateway.model.peer import Retry

MOST_APART = 256
"""Ranges of likenesses that are remembered of refused objects; the one that was tried longest ago goes first."""
MOST_MISSES = 3
"""Trials for which nothing was due; each waits as long as an object that was refused."""
MOST_KINDS = 256
"""SOP classes with a transfer syntax that the destination took."""

WITHOUT_CONTEXT = "without a presentation context"
"""The kind of a refusal that has no status."""


class RefusalCount:
    """Counts refusals of one kind with no success between them. Times are monotonic seconds."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._sort: Hashable = None
        self._count = 0
        self._reason = ""
        self._row: OrderedDict[Range, int] = OrderedDict()
        """The likenesses that were refused since the last success."""
        self._apart: OrderedDict[Range, int] = OrderedDict()
        """The likenesses that were refused when the row became too long, the one tried last at the end → trials for
        which nothing of it was due.
        """
        self._is_held = False
        """The row became too long, and no object has ended it."""
        self._last = 0
        """The likeness that was looked at last."""
        self._failures = 0
        self._trial_at_s = 0.0
        self._taken: dict[tuple[str, str], None] = {}

    @property
    def is_held(self) -> bool:
        """True while the destination is left alone for its refusals."""
        return self._is_held

    @property
    def number_left_out(self) -> int:
        """Studies and kinds that wait while others are sent."""
        return 0 if self._is_held else len(self._apart)

    @property
    def why_left_out(self) -> str:
        """The reason for log and status; empty when nothing is left out."""
        number = self.number_left_out
        return f"what is like {number} studies or kinds that it refuses waits: {self._reason}" if number else ""

    # --- what became of one ---------------------------------------------------------------------------------------

    def sort_of(self, delivery: Delivery, refused: Refused) -> Hashable:
        """The value that is equal for refusals that are alike; None for a refusal of this object alone: no context
        of ours is for it, or the peer takes others in the same association and never took its kind.
        """
        if refused.dimse_status is not None:
            return refused.dimse_status
        if refused.is_nothing_accepted or (refused.is_without_context and self.took(delivery)):
            return WITHOUT_CONTEXT
        return None

    def took(self, delivery: Delivery) -> bool:
        """True when the destination took this kind of object before, since the gateway started."""
        return kind_of(delivery) in self._taken

    def add(self, delivery: Delivery, sort: Hashable, most: int, reason: str) -> bool:
        """One more; True when they are so many that the destination is to be left alone. `most` 0: never. `reason` is
        fit for log and status."""
        if sort != self._sort and not self._is_held:
            self._count = 0
            self._row.clear()
        self._sort, self._reason = sort, reason
        self._count += 1
        number = likeness_of(delivery.instance)
        _put_last(self._row, of_its_kind(number) if sort == WITHOUT_CONTEXT else alone(number))
        if most and (self._is_held or self._count >= most):
            self._is_held = True
            for each in self._row:
                _put_last(self._apart, each)
            self._row.clear()
        return self._is_held

    def is_left_out(self, delivery: Delivery) -> bool:
        """True for one like those that wait while others are sent."""
        return bool(self.number_left_out) and self._range_of(delivery) is not None

    def refused_again(self, reason: str, retry: Retry, now_s: float) -> None:
        """One of those that wait was tried in vain."""
        self._reason = reason
        self._failures += 1
        self._trial_at_s = now_s + delay_s(retry, self._failures, self._random)

    def taken(self, delivery: Delivery, retry: Retry, now_s: Callable[[], float]) -> None:
        """The destination took one. Where it was held, only deliveries like the refused ones wait on, not this kind."""
        kind = kind_of(delivery)
        if kind not in self._taken:
            self._note_kind(kind)
        if not (self._count or self._apart):
            return
        was_held, self._is_held = self._is_held, False
        self._sort, self._count = None, 0
        self._row.clear()
        if was_held:
            self._failures = 0
            self._trial_at_s = now_s() + delay_s(retry, 1, self._random)
        self.let_go(delivery)

    def let_go(self, delivery: Delivery) -> None:
        """Deliveries like this one wait no longer; the next of the others is tried at once."""
        while (found := self._range_of(delivery)) is not None:
            del self._apart[found]
            self._failures, self._trial_at_s = 0, 0.0

    def forget_kinds(self) -> None:
        """Forget which kinds were taken: another peer is there now."""
        self._taken.clear()

    def row(self) -> str:
        """A description of the row of refusals, for the log and the status."""
        return f"it refused {self._count} objects in a row: {self._reason}"

    # --- going on at another node ---------------------------------------------------------------------------------

    def as_text(self) -> str:
        """All that another node needs to go on with; empty when there is nothing. Only a trial's time is left out: the
        next one is at once."""
        if not (self._count or self._apart):
            return ""
        row, apart = [*self._row], [*self._apart]
        return json.dumps([self._sort, self._count, self._reason, self._is_held, row, apart, self._failures])

    def go_on(self, text: str) -> None:
        """Go on with what `as_text` gave at another node.

        Raises ValueError, and changes nothing: a gateway of another version wrote it.
        """
        if not text:
            return
        found = json.loads(text)
        if not _is_as_written(found):
            raise ValueError("it is no row of refusals as this version writes it")
        self._sort, self._count, self._reason, self._is_held, row, apart, self._failures = found
        self._row = OrderedDict(((first, last), 0) for first, last in row)
        self._apart = OrderedDict(((first, last), 0) for first, last in apart)

    # --- what to claim --------------------------------------------------------------------------------------------

    def try_now(self) -> None:
        """Somebody may have mended something."""
        self._trial_at_s = 0.0

    def trial_wait_s(self, now_s: float) -> float:
        """The seconds until one of those that wait is tried."""
        return max(0.0, self._trial_at_s - now_s)

    def others(self) -> ExcludedLikenesses:
        """Deliveries unlike the refused ones, beginning with those that follow the last one that was looked at."""
        return ExcludedLikenesses(tuple(self._apart), self._last)

    def next_trial(self) -> tuple[Range, ExcludedLikenesses] | None:
        """Deliveries like the ones that were tried longest ago; they count as tried now. None: nothing is left out."""
        if not self._apart:
            return None
        longest = next(iter(self._apart))
        self._apart.move_to_end(longest)
        return longest, ExcludedLikenesses(tuple(each for each in self._apart if each != longest), longest[0])

    def trial_begun(self, tried: Range, found: Sequence[Delivery], retry: Retry, now_s: float) -> None:
        """`found` was claimed for it. Where nothing of that range is due again and again, nothing waits there."""
        self._trial_at_s = now_s + delay_s(retry, self._failures + 1, self._random)
        first, last = tried
        is_found = any(first <= likeness_of(each.instance) <= last for each in found)
        self._apart[tried] = 0 if is_found else self._apart[tried] + 1
        if self._apart[tried] >= MOST_MISSES:
            del self._apart[tried]

    def looked_at(self, delivery: Delivery, *, is_done: bool) -> None:
        """Set where the next claim begins: with the rest of this one's study, or behind it."""
        self._last = likeness_of(delivery.instance) + is_done

    def _range_of(self, delivery: Delivery) -> Range | None:
        number = likeness_of(delivery.instance)
        for found in (alone(number), of_its_kind(number)):
            if found in self._apart:
                return found
        return None

    def _note_kind(self, kind: tuple[str, str]) -> None:
        self._taken[kind] = None
        if len(self._taken) > MOST_KINDS:
            del self._taken[next(iter(self._taken))]


def _is_as_written(found: object) -> bool:
    """True for a value that `RefusalCount.as_text` gives."""
    match found:
        case [int() | str() | None, int(), str(), bool(), list(row), list(apart), int()]:
            return all(isinstance(each, list) and [*map(type, each)] == [int, int] for each in (*row, *apart))
    return False


def _put_last(ranges: OrderedDict[Range, int], each: Range) -> None:
    ranges[each] = 0
    ranges.move_to_end(each)
    if len(ranges) > MOST_APART:
        ranges.popitem(last=False)


def kind_of(delivery: Delivery) -> tuple[str, str]:
    """SOP class UID and transfer syntax UID of the object, as it arrived."""
    return delivery.instance.sop_class_uid, delivery.instance.transfer_syntax_uid
