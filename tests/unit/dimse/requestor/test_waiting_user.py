"""The hope of a user that was turned away: another one of ours may be served, and it after that one."""

import asyncio
from typing import Any

import pytest

from gateway.dimse.requestor.waiting_user import ROOM_AFTER_S, WaitingUser
from gateway.model.peer import Peer

PACS = Peer("pacs", "PACS", host="192.0.2.1", port=104)


def user(peer: Peer = PACS) -> WaitingUser:
    return WaitingUser(("query", peer, None, None), (), False, 0.0, asyncio.Future())


def served(other: WaitingUser) -> None:
    found: Any = object()
    other.found.set_result(found)


def failed(other: WaitingUser) -> None:
    other.found.set_exception(RuntimeError("turned away for good"))
    other.found.exception()


def turned_away(other: WaitingUser) -> None:
    other.times_turned_away += 1


def resting(other: WaitingUser) -> None:
    turned_away(other)
    other.is_trying = False


def given_room(other: WaitingUser) -> None:
    resting(other)
    other.give_room()


@pytest.mark.parametrize(
    ("meanwhile", "expected"),
    [
        (lambda other: None, True),
        (served, True),
        (given_room, True),
        (turned_away, False),
        (resting, False),
        (failed, False),
        (lambda other: other.found.cancel(), False),
    ],
    ids=["still tries", "served", "given room", "turned away, tries again", "turned away", "failed", "gone"],
)
async def test_hope_lasts_until_all_others_were_turned_away(meanwhile: Any, expected: bool) -> None:
    waiting, other = user(), user()
    other.is_trying = True
    assert waiting.may_hope([waiting, other])
    meanwhile(other)
    newcomer = user()
    newcomer.is_trying = True
    assert waiting.may_hope([waiting, other, newcomer]) is expected


async def test_one_of_several_is_enough() -> None:
    waiting, one, another = user(), user(), user()
    one.is_trying = another.is_trying = True
    assert waiting.may_hope([one, another])
    resting(one)
    assert waiting.may_hope([one, another])
    resting(another)
    assert not waiting.may_hope([one, another])


async def test_there_is_no_hope_without_others_that_try() -> None:
    waiting, other = user(), user()
    waiting.is_trying = True
    assert not waiting.may_hope([])
    assert not waiting.may_hope([waiting, other])
    other.give_room()
    assert (other.has_room, other.pauses_s) == (True, list(ROOM_AFTER_S))
    assert waiting.may_hope([waiting, other])


async def test_a_place_is_a_host_and_a_port() -> None:
    waiting = user()
    assert waiting.is_at(("deliveries", Peer("other", "OTHER", host="192.0.2.1", port=104), None, None))
    assert not waiting.is_at(("query", Peer("pacs", "PACS", host="192.0.2.1", port=105), None, None))
