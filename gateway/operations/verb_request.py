"""A verb of an operator as JSON: which verb, the deliveries that it means, and how it is done."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from gateway.common.quantity import DURATION, duration_s
from gateway.common.setting_faults import did_you_mean
from gateway.model.delivery import DeliveryState
from gateway.model.priority import WORDS, Priority
from gateway.operations import queue_administration as verbs
from gateway.operations.queue_administration import Verb
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.errors import GatewayError

MOST_IDS = 5000
LARGEST_ID = 2**63 - 1
NO_CHARACTER = re.compile("[\0\ud800-\udfff]")
"""JSON can have these in a text; databases do not take them."""
LONGEST_AGE_S = 3653 * 86400.0
VERBS = {
    "hold": verbs.HOLD,
    "release": verbs.RELEASE,
    "retry": verbs.RETRY,
    "retarget": verbs.RETARGET,
    "send-again": verbs.SEND_AGAIN,
    "priority": verbs.PRIORITIES[Priority.NORMAL],
    "discard": verbs.DISCARD,
}
_ALWAYS = ("filter", "all", "why", "dry_run")
_ALSO = {
    "release": ("to", "even_if_doubtful"),
    "retarget": ("to", "even_if_doubtful"),
    "send-again": ("to",),
    "priority": ("set",),
}


class WrongRequest(GatewayError):
    """A request that is not possible; `str()` says what is wrong, where, and what would be right."""


@dataclass(frozen=True, slots=True)
class VerbRequest:
    """One verb. `to` is where a verb that sends sends; empty for where the deliveries go by themselves."""

    verb: Verb
    which: DeliveryFilter
    to: str
    why: str
    is_dry_run: bool


def read_request(name: str, body: Mapping[str, object], now: datetime) -> VerbRequest:
    """The request for the verb `name`; `now` is the wall clock's time. Raises WrongRequest."""
    verb = VERBS.get(name)
    if verb is None:
        raise WrongRequest(f"there is no verb `{name}`{did_you_mean(name, VERBS)}; known: {', '.join(VERBS)}")
    _only(body, (*_ALWAYS, *_ALSO.get(name, ())), "")
    to = _value(body, "to", "", _text)
    if name == "retarget" and not to:
        raise WrongRequest("`to` is missing: the peer that gets them instead")
    if name == "priority":
        if "set" not in body:
            raise WrongRequest(f"`set` is missing: one of {', '.join(WORDS)}")
        verb = verbs.PRIORITIES[_value(body, "set", Priority.NORMAL, _priority)]
    if _value(body, "even_if_doubtful", False, _flag):
        verb = replace(verb, even_if_doubtful=True)
    which = _filter(_value(body, "filter", {}, _object), verb, now)
    is_all = _value(body, "all", False, _flag)
    if (which == DeliveryFilter()) is not is_all:
        raise WrongRequest("give a `filter`, or `all: true` for every delivery, and not both")
    if to and which.destination == to and name == "retarget":
        raise WrongRequest(f"`to`: they are for {to} already; the verb `retry` tries them now")
    return VerbRequest(verb, which, to, _value(body, "why", "", _reason), _value(body, "dry_run", False, _flag))


def read_undo(body: Mapping[str, object]) -> tuple[str, bool]:
    """The reason of an undo, and whether it is a dry run. Raises WrongRequest."""
    _only(body, ("why", "dry_run"), "")
    return _value(body, "why", "", _reason), _value(body, "dry_run", False, _flag)


def _reason(value: object, key: str) -> str:
    """One short line for the record."""
    text = _text(value, key)
    if fault := verbs.fault_of_reason(text):
        raise WrongRequest(f"`{key}`: {fault}")
    return text


def _only(found: Mapping[str, object], known: tuple[str, ...], within: str) -> None:
    for key in found:
        if key not in known:
            raise WrongRequest(f"`{within}{key}` is not known{did_you_mean(key, known)}; known: {', '.join(known)}")


def _value(
    body: Mapping[str, object], key: str, default: Any, read: Callable[[object, str], Any], within: str = ""
) -> Any:
    return read(body[key], f"{within}{key}") if key in body else default


def _filter(found: Mapping[str, object], verb: Verb, now: datetime) -> DeliveryFilter:
    _only(found, tuple(_FILTERS), "filter.")

    def value(key: str, default: Any = None) -> Any:
        return _value(found, key, default, _FILTERS[key], "filter.")

    older_s, newer_s, state = value("older_than"), value("newer_than"), value("state")
    if older_s is not None and newer_s is not None and newer_s <= older_s:
        raise WrongRequest("`filter`: `older_than` and `newer_than` leave no time between them")
    if state is not None and state not in verb.states:
        states = " or ".join(each.value for each in verb.states)
        raise WrongRequest(f"`filter.state`: `{verb.name}` is for those that are {states}")
    return DeliveryFilter(
        ids=value("ids", ()),
        destination=value("destination"),
        state=state,
        sop_instance_uid=value("sop_instance_uid", ""),
        study_instance_uid=value("study_instance_uid", ""),
        rule=value("rule", ""),
        priority=value("priority"),
        created_before=None if older_s is None else now - timedelta(seconds=older_s),
        created_after=None if newer_s is None else now - timedelta(seconds=newer_s),
    )


def _text(value: object, key: str) -> str:
    """A filter without a value, as of a variable that is not set, would mean everything."""
    if not isinstance(value, str) or not value.strip():
        raise WrongRequest(f"`{key}`: expected a text that is not empty; leave it out to mean any")
    if NO_CHARACTER.search(value):
        raise WrongRequest(f"`{key}`: expected a text without NUL and without halves of characters")
    return value


def _destination(value: object, key: str) -> str:
    """Empty: those that wait for a destination to be named."""
    return "" if value == "" else _text(value, key)


def _flag(value: object, key: str) -> bool:
    if not isinstance(value, bool):
        raise WrongRequest(f"`{key}`: expected true or false")
    return value


def _object(value: object, key: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise WrongRequest(f'`{key}`: expected an object such as {{"destination": "pacs"}}')
    return value


def _ids(value: object, key: str) -> tuple[int, ...]:
    if not isinstance(value, list) or not value or not all(type(each) is int for each in value):
        raise WrongRequest(f"`{key}`: expected a list of whole numbers that is not empty")
    if len(value) > MOST_IDS:
        raise WrongRequest(f"`{key}`: {len(value)} are too many at once; at most {MOST_IDS}")
    if not all(1 <= each <= LARGEST_ID for each in value):
        raise WrongRequest(f"`{key}`: expected whole numbers from 1 to {LARGEST_ID}")
    return tuple(value)


def _state(value: object, key: str) -> DeliveryState:
    try:
        return DeliveryState(_text(value, key))
    except ValueError:
        raise WrongRequest(f"`{key}`: expected one of {', '.join(DeliveryState)}") from None


def _priority(value: object, key: str) -> Priority:
    if value not in WORDS:
        raise WrongRequest(f"`{key}`: expected one of {', '.join(WORDS)}")
    return Priority[str(value).upper()]


def _duration(value: object, key: str) -> float:
    text = _text(value, key)
    if not re.fullmatch(DURATION, text) or duration_s(text) > LONGEST_AGE_S:
        raise WrongRequest(f"`{key}`: expected a duration of at most ten years, such as `30 min` or `7d`")
    return duration_s(text)


_FILTERS: Mapping[str, Callable[[object, str], Any]] = {
    "ids": _ids,
    "destination": _destination,
    "state": _state,
    "rule": _text,
    "sop_instance_uid": _text,
    "study_instance_uid": _text,
    "priority": _priority,
    "older_than": _duration,
    "newer_than": _duration,
}
