"""What every `Affinities` must do; run against each implementation."""

from __future__ import annotations

import json
from random import Random

from gateway.ports.affinities import AffinityWish, study_digest
from gateway.ports.store import Store
from tests.support.samples import Clock

DAY_S = 86400.0


def wish(study: str, member: str = "ai1", fit: str = "ai1 ai2 ai3", group: str = "readers") -> AffinityWish:
    return AffinityWish(group, study_digest(study), member, tuple(fit.split()), DAY_S)


def kept(queue: Store, clock: Clock, *wishes: AffinityWish) -> list[str]:
    with queue.transaction():
        return queue.affinities.keep_affinities(wishes, clock())


def test_a_study_stays_with_the_member_that_it_got_first(queue: Store, clock: Clock) -> None:
    assert kept(queue, clock, wish("1.2", "ai2"), wish("1.1", "ai1")) == ["ai2", "ai1"]
    assert kept(queue, clock, wish("1.2", "ai3"), wish("1.3", "ai3")) == ["ai2", "ai3"]
    assert kept(queue, clock, wish("1.2", "ai3", group="others")) == ["ai3"], "another group"
    assert kept(queue, clock) == []


def test_a_study_leaves_a_member_that_is_not_fit(queue: Store, clock: Clock) -> None:
    assert kept(queue, clock, wish("1.2", "ai1")) == ["ai1"]
    assert kept(queue, clock, wish("1.2", "ai3", fit="ai2 ai3")) == ["ai3"]
    assert kept(queue, clock, wish("1.2", "ai1")) == ["ai3"], "it does not come back"


def test_a_transaction_that_is_rolled_back_keeps_nothing(queue: Store, clock: Clock) -> None:
    try:
        with queue.transaction():
            queue.affinities.keep_affinities([wish("1.2", "ai1")], clock())
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert kept(queue, clock, wish("1.2", "ai2")) == ["ai2"]


def test_a_study_is_forgotten_some_time_after_its_last_object(queue: Store, clock: Clock) -> None:
    kept(queue, clock, wish("1.1"), wish("1.2"), wish("1.3"))
    clock.advance(DAY_S - 1)
    kept(queue, clock, wish("1.2", "ai2"))
    clock.advance(2)
    for expected in (1, 1, 0):
        with queue.transaction():
            assert queue.affinities.forget_affinities(clock(), 1) == expected
    assert kept(queue, clock, wish("1.1", "ai2"), wish("1.2", "ai3")) == ["ai2", "ai1"]


def test_any_text_of_a_sender_is_a_study(queue: Store, clock: Clock) -> None:
    odd = ["", "\0", "\udce9", "1.2" * 5000, "'; DROP TABLE delivery; --"]
    assert kept(queue, clock, *(wish(each, "ai2") for each in odd)) == ["ai2"] * len(odd)
    assert kept(queue, clock, *(wish(each) for each in odd)) == ["ai2"] * len(odd)


def test_names_of_groups_and_members_may_be_odd(queue: Store, clock: Clock) -> None:
    group, member = "gr\u00fcppe \"$.\\'", json.dumps({"a": 1})
    one = AffinityWish(group, study_digest("1"), member, (member,), DAY_S)
    assert kept(queue, clock, one) == [member]
    assert kept(queue, clock, AffinityWish(group, study_digest("1"), "x", (member,), DAY_S)) == [member]


def test_any_history_is_that_of_a_dictionary(queue: Store, clock: Clock) -> None:
    """Against the same in memory."""
    random = Random(13)
    model: dict[tuple[str, str], tuple[str, float]] = {}
    for _ in range(150):
        clock.advance(random.choice([0.0, 1000.0, DAY_S / 3]))
        now_s = clock().timestamp()
        if random.random() < 0.15:
            with queue.transaction():
                queue.affinities.forget_affinities(clock(), 100)
            model = {key: row for key, row in model.items() if row[1] >= now_s}
            continue
        group = random.choice(["a", "b"])
        fit = tuple(random.sample(["m1", "m2", "m3"], random.randint(1, 3)))
        wishes = [
            AffinityWish(group, study_digest(study), random.choice(fit), fit, DAY_S)
            for study in random.sample("123456", random.randint(1, 4))
        ]
        expected = []
        for each in wishes:
            member, at_s = model.get(each.key, ("", 0.0))
            model[each.key] = (member if member in fit else each.member, max(at_s, now_s + DAY_S))
            expected.append(model[each.key][0])
        assert kept(queue, clock, *wishes) == expected
