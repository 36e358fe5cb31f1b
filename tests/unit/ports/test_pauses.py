"""A pause goes on until it is resumed."""

from __future__ import annotations

from dataclasses import replace

from gateway.ports.pauses import Pause, PausedNames
from tests.support.samples import NOON


def test_a_pause_goes_on_until_it_is_resumed() -> None:
    pause = Pause("destination", "pacs", "anna", "", NOON)
    assert pause.goes_on
    assert not replace(pause, resumed_at=NOON).goes_on


def test_names_are_those_that_are_paused_now() -> None:
    names, sender = PausedNames(), Pause("sender", "ct1", "anna", "", NOON)
    rule = replace(sender, kind="rule", name="chest")
    assert (names.senders, names.rules) == (frozenset(), frozenset())
    names.follow([sender, rule, replace(sender, kind="destination", name="pacs")])
    assert (names.senders, names.rules) == (frozenset({"ct1"}), frozenset({"chest"}))
    assert names.resumed_rules == frozenset()
    names.follow([replace(sender, resumed_at=NOON), rule])
    assert (names.senders, names.rules) == (frozenset(), frozenset({"chest"}))
    names.follow([replace(rule, resumed_at=NOON)])
    assert (names.rules, names.resumed_rules) == (frozenset(), frozenset({"chest"}))
