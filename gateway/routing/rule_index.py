"""Thousands of rules, evaluated only where they can hold; the decision is that of evaluating every rule in its order.

Each rule is filed under a key that an object must have for its condition to hold (`gateway.routing.index_keys`), under
the rarest of several. A rule without such a key is filed under a predicate that other rules have too. Predicates that
several rules share are evaluated once an object.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from gateway.ports.facts import Facts
from gateway.ports.kinds import Predicate
from gateway.routing.index_keys import Keys, Look, finding
from gateway.routing.language.kind_tree import inside
from gateway.routing.predicates.combining import AllConditions, AnyCondition, NamedConditionHolds, NotCondition

FEWEST_RULES = 32
"""Below, asking every rule is as quick."""
SMALL_GROUP = 8
"""Rules that are worth a predicate of their own to be filed under."""
MOST_KEYS = 256
"""The most keys of one predicate or named condition under which a rule is filed."""

Memory = dict[int, bool]
"""The results of shared predicates on one object, by their number."""
EvaluatePredicate = Callable[[Facts, Memory], bool]


@dataclass(frozen=True, slots=True)
class _RuleGroup:
    """Rules that cannot hold where one predicate does not."""

    evaluate: EvaluatePredicate
    numbers: tuple[int, ...]


class RuleIndex:
    """The conditions of rules, by the rules' numbers from 0."""

    def __init__(self, conditions: Sequence[Predicate]) -> None:
        shared = _Shared(conditions)
        self._evaluations = [shared.evaluate(condition) for condition in conditions]
        filing = _Filing(conditions)
        by_key: dict[int, dict[Hashable, list[int]]] = defaultdict(lambda: defaultdict(list))
        by_predicate: dict[int, tuple[Predicate, list[int]]] = {}
        always: list[int] = []
        for number, condition in enumerate(conditions):
            chosen = filing.rarest(condition)
            if chosen is not None:
                for look, key in set(chosen):
                    by_key[look][key].append(number)
            elif (common := shared.group_of(condition)) is not None:
                by_predicate.setdefault(shared.number(common), (common, []))[1].append(number)
            else:
                always.append(number)
        self._finding = [
            finding(filing.look(look), {key: tuple(found) for key, found in keys.items()})
            for look, keys in by_key.items()
        ]
        self._groups = [_RuleGroup(shared.evaluate(one), tuple(found)) for one, found in by_predicate.values()]
        self._always = tuple(always)

    def holding(self, facts: Facts, first: int = 0) -> Iterator[int]:
        """The rules from `first` on whose condition holds, in their order; each is asked when its turn comes."""
        memory: Memory = {}
        evaluations = self._evaluations
        for number in self._candidates(facts, memory):
            if number >= first and evaluations[number](facts, memory):
                yield number

    def _candidates(self, facts: Facts, memory: Memory) -> Sequence[int]:
        found = [self._always] if self._always else []
        for find in self._finding:
            found += find(facts)
        found += [group.numbers for group in self._groups if group.evaluate(facts, memory)]
        if len(found) == 1:
            return found[0]
        return sorted({number for numbers in found for number in numbers})


class _Shared:
    """Predicates that stand in several places, found by equality: what stands for the same thing has one number."""

    def __init__(self, conditions: Iterable[Predicate]) -> None:
        self._by_place: dict[int, int] = {}
        self._by_value: dict[Hashable, int] = {}
        self._count: Counter[int] = Counter()
        self._evaluations: dict[int, EvaluatePredicate] = {}
        seen: set[int] = set()
        for condition in conditions:
            self._count_in(condition, seen)

    def number(self, predicate: Predicate) -> int:
        """Equal for predicates of which one may be asked for all."""
        if isinstance(predicate, NamedConditionHolds):
            return self.number(predicate.named.predicate)
        place = id(predicate)
        number = self._by_place.get(place)
        if number is None:
            value = self._value(predicate)  # numbers those inside
            number = new = len(self._by_place)
            with suppress(TypeError):  # not hashable: it equals nothing else
                number = self._by_value.setdefault(value, new)
            self._by_place[place] = number
        return number

    def _value(self, predicate: Predicate) -> Any:
        """Equal for equal predicates. Those inside one that combines others are looked at once, not once a level."""
        match predicate:
            case AllConditions() | AnyCondition():
                return (type(predicate), *map(self.number, predicate.conditions))
        return predicate

    def _count_in(self, predicate: Predicate, seen: set[int]) -> None:
        """The inside of a named condition is looked at once, however many rules name it."""
        if isinstance(predicate, NamedConditionHolds):
            predicate = predicate.named.predicate
        self._count[self.number(predicate)] += 1
        if id(predicate) in seen:
            return
        seen.add(id(predicate))
        for inner in inside(predicate):
            self._count_in(inner, seen)

    def group_of(self, condition: Predicate) -> Predicate | None:
        """The predicate to file `condition` under: it cannot hold without it, and it is a rare one of several rules."""
        counted = [(self._count[self.number(one)], one) for one in self._conjuncts(condition)]
        worth = [pair for pair in counted if pair[0] >= SMALL_GROUP]
        return min(worth, key=lambda pair: pair[0])[1] if worth else None

    def _conjuncts(self, condition: Predicate) -> Iterator[Predicate]:
        """Predicates that must all hold; a condition that many rules have is one."""
        match condition:
            case NamedConditionHolds(named=named) if self._count[self.number(condition)] < SMALL_GROUP:
                yield from self._conjuncts(named.predicate)
            case AllConditions(conditions=conditions) if conditions:
                for one in conditions:
                    yield from self._conjuncts(one)
            case AllConditions():
                return
            case _:
                yield condition

    def evaluate(self, predicate: Predicate) -> EvaluatePredicate:
        """`predicate` as a function that asks what is shared once an object."""
        number = self.number(predicate)
        if self._count[number] < 2:
            return self._inner(predicate)
        if number not in self._evaluations:
            self._evaluations[number] = _once(self._inner(predicate), number)
        return self._evaluations[number]

    def _inner(self, predicate: Predicate) -> EvaluatePredicate:
        match predicate:
            case AllConditions(conditions=conditions):
                return _every([self.evaluate(one) for one in conditions])
            case AnyCondition(conditions=conditions):
                return _some([self.evaluate(one) for one in conditions])
            case NotCondition(condition=inner):
                return _no(self.evaluate(inner))
            case NamedConditionHolds(named=named):
                return self._inner(named.predicate)
        return lambda facts, memory: predicate(facts)


def _once(evaluate: EvaluatePredicate, number: int) -> EvaluatePredicate:
    def once(facts: Facts, memory: Memory) -> bool:
        known = memory.get(number)
        if known is None:
            known = memory[number] = evaluate(facts, memory)
        return known

    return once


def _every(evaluations: Sequence[EvaluatePredicate]) -> EvaluatePredicate:
    def every(facts: Facts, memory: Memory) -> bool:
        for evaluate in evaluations:  # noqa: SIM110 - as in `gateway.routing.predicates.combining`
            if not evaluate(facts, memory):
                return False
        return True

    return evaluations[0] if len(evaluations) == 1 else every


def _some(evaluations: Sequence[EvaluatePredicate]) -> EvaluatePredicate:
    def some(facts: Facts, memory: Memory) -> bool:
        for evaluate in evaluations:  # noqa: SIM110 - as in `gateway.routing.predicates.combining`
            if evaluate(facts, memory):
                return True
        return False

    return evaluations[0] if len(evaluations) == 1 else some


def _no(evaluate: EvaluatePredicate) -> EvaluatePredicate:
    return lambda facts, memory: not evaluate(facts, memory)


Places = tuple[tuple[int, Hashable], ...]
"""The places where a rule is filed: under numbers of looks, and the values that each finds."""


class _Filing:
    """The keys under which rules are filed."""

    def __init__(self, conditions: Iterable[Predicate]) -> None:
        self._looks: dict[Look, int] = {}
        self._own: dict[int, tuple[Places, ...]] = {}
        self._of_named: dict[int, tuple[Places, ...]] = {}
        self._rarest: dict[int, tuple[int, Places] | None] = {}
        """Places by the identity of a predicate that combines no others: many rules have the same."""
        self._frequency = Counter(place for one in conditions for places in self._all(one) for place in places)

    def look(self, number: int) -> Look:
        """The look of this number."""
        return list(self._looks)[number]

    def rarest(self, condition: Predicate) -> Places | None:
        """`condition` holds only where one of these is found. None when nothing is known of it."""
        chosen = self._chosen(condition)
        return None if chosen is None else chosen[1]

    def _chosen(self, condition: Predicate) -> tuple[int, Places] | None:
        """The most rules that are filed there, and the places."""
        match condition:
            case AllConditions():
                return self._least(found for one in condition.conditions if (found := self._chosen(one)) is not None)
            case AnyCondition():
                each = [self._chosen(one) for one in condition.conditions]
                known = [found for found in each if found is not None]
                if len(known) < len(each):
                    return None
                return sum(cost for cost, _places in known), tuple(place for _cost, places in known for place in places)
            case NamedConditionHolds(named=named):
                return self._chosen(named.predicate) if self._of_name(named.predicate) else None
            case NotCondition():
                return None
        if id(condition) not in self._rarest:
            costs = ((sum(self._frequency[place] for place in places), places) for places in self._own_of(condition))
            self._rarest[id(condition)] = self._least(costs)
        return self._rarest[id(condition)]

    @staticmethod
    def _least(found: Iterable[tuple[int, Places]]) -> tuple[int, Places] | None:
        return min(found, key=itemgetter(0), default=None)

    def _all(self, condition: Predicate) -> Sequence[Places]:
        """The places of all predicates that could be chosen."""
        match condition:
            case AllConditions() | AnyCondition():
                return [places for one in condition.conditions for places in self._all(one)]
            case NamedConditionHolds(named=named):
                return self._of_name(named.predicate)
            case NotCondition():
                return ()
        return self._own_of(condition)

    def _of_name(self, predicate: Predicate) -> tuple[Places, ...]:
        """The places of a named condition; none when it has many: thousands of rules may name it."""
        if id(predicate) not in self._of_named:
            found = tuple(self._all(predicate))
            self._of_named[id(predicate)] = found if sum(map(len, found)) <= MOST_KEYS else ()
        return self._of_named[id(predicate)]

    def _own_of(self, predicate: Predicate) -> tuple[Places, ...]:
        """The places of a predicate that combines no others."""
        found = self._own.get(id(predicate))
        if found is None:
            found = self._own[id(predicate)] = tuple(map(self._places, _own_keys(predicate)))
        return found

    def _places(self, keys: Keys) -> Places:
        look = self._looks.setdefault(keys.look, len(self._looks))
        return tuple((look, key) for key in keys.any_of)


def _own_keys(predicate: Predicate) -> Iterable[Keys]:
    """The keys of a predicate, without those of more than `MOST_KEYS` values: they would be filed as often."""
    keys = getattr(predicate, "keys", None)
    return [one for one in keys() if len(one.any_of) <= MOST_KEYS] if keys is not None else []
