"""A verb as JSON: what is read, and what is refused with which words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.model.delivery import DeliveryState
from gateway.model.priority import Priority
from gateway.operations.queue_administration import PRIORITIES, RELEASE, RELEASE_EVEN_IF_DOUBTFUL, RETARGET, RETRY
from gateway.operations.verb_request import VerbRequest, WrongRequest, read_request
from gateway.ports.delivery_administration import DeliveryFilter

NOW = datetime(2026, 12, 1, 3, 0, tzinfo=UTC)
PACS = DeliveryFilter(destination="pacs")

READ: dict[str, tuple[str, dict[str, Any], VerbRequest]] = {
    "a filter": ("retry", {"filter": {"destination": "pacs"}}, VerbRequest(RETRY, PACS, "", "", False)),
    "all": ("retry", {"all": True, "dry_run": True}, VerbRequest(RETRY, DeliveryFilter(), "", "", True)),
    "why, to and doubtful": (
        "release",
        {"filter": {"ids": [1, 2]}, "to": "vna", "even_if_doubtful": True, "why": "the disk is back"},
        VerbRequest(RELEASE_EVEN_IF_DOUBTFUL, DeliveryFilter(ids=(1, 2)), "vna", "the disk is back", False),
    ),
    "those that wait for a destination": (
        "release",
        {"filter": {"destination": ""}, "to": "vna"},
        VerbRequest(RELEASE, DeliveryFilter(destination=""), "vna", "", False),
    ),
    "every filter": (
        "retarget",
        {
            "filter": {
                "state": "dead",
                "rule": "studies",
                "sop_instance_uid": "1.2",
                "study_instance_uid": "1.3",
                "priority": "urgent",
                "older_than": "1 h",
                "newer_than": "2 d",
            },
            "to": "vna",
        },
        VerbRequest(
            RETARGET,
            DeliveryFilter(
                state=DeliveryState.DEAD,
                rule="studies",
                sop_instance_uid="1.2",
                study_instance_uid="1.3",
                priority=Priority.URGENT,
                created_before=NOW - timedelta(hours=1),
                created_after=NOW - timedelta(days=2),
            ),
            "vna",
            "",
            False,
        ),
    ),
    "a priority": (
        "priority",
        {"filter": {"destination": "pacs"}, "set": "low"},
        VerbRequest(PRIORITIES[Priority.LOW], PACS, "", "", False),
    ),
}


@pytest.mark.parametrize(("name", "body", "expected"), READ.values(), ids=READ)
def test_what_is_read(name: str, body: dict[str, Any], expected: VerbRequest) -> None:
    assert read_request(name, body, NOW) == expected


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "no verb": ("hodl", {"all": True}, r"there is no verb `hodl` \(did you mean `hold`\?\)"),
    "nothing said": ("hold", {}, "give a `filter`, or `all: true`"),
    "an empty filter": ("hold", {"filter": {}}, "give a `filter`, or `all: true`"),
    "both": ("hold", {"filter": {"destination": "pacs"}, "all": True}, "and not both"),
    "an unknown key": ("hold", {"al": True}, r"`al` is not known \(did you mean `all`\?\)"),
    "a key of another verb": ("hold", {"all": True, "to": "vna"}, "`to` is not known"),
    "an unknown filter": ("hold", {"filter": {"peer": "pacs"}}, "`filter.peer` is not known"),
    "a filter that is none": ("hold", {"filter": "pacs"}, "`filter`: expected an object"),
    "an empty text": ("hold", {"filter": {"rule": " "}}, "`filter.rule`: expected a text that is not empty"),
    "a number": ("hold", {"filter": {"rule": 7}}, "`filter.rule`: expected a text"),
    "a state": ("hold", {"filter": {"state": "gone"}}, "`filter.state`: expected one of"),
    "a state of another verb": ("hold", {"filter": {"state": "held"}}, "`hold` is for those that are pending or dead"),
    "no identifiers": ("hold", {"filter": {"ids": []}}, "`filter.ids`: expected a list of whole numbers"),
    "a truth among them": ("hold", {"filter": {"ids": [True]}}, "`filter.ids`: expected a list of whole numbers"),
    "an identifier that no store has": ("hold", {"filter": {"ids": [1, 2**63]}}, "whole numbers from 1 to 92233720"),
    "no identifier": ("hold", {"filter": {"ids": [0]}}, "`filter.ids`: expected whole numbers from 1 to"),
    "half a character": ("hold", {"filter": {"rule": "\ud800"}}, "`filter.rule`: expected a text without NUL"),
    "a NUL": ("hold", {"filter": {"destination": "pacs\0"}}, "`filter.destination`: expected a text without NUL"),
    "too many": ("hold", {"filter": {"ids": [*range(5001)]}}, "5001 are too many at once"),
    "no duration": ("hold", {"filter": {"older_than": "soon"}}, "`filter.older_than`: expected a duration"),
    "a duration of ages": ("hold", {"filter": {"older_than": "999999999999 d"}}, "at most ten years"),
    "no time between": ("hold", {"filter": {"older_than": "2 h", "newer_than": "1 h"}}, "leave no time"),
    "a priority": ("hold", {"filter": {"priority": "soon"}}, "`filter.priority`: expected one of urgent, normal, low"),
    "a priority that is an array": ("hold", {"filter": {"priority": ["low"]}}, "expected one of urgent, normal, low"),
    "no priority": ("priority", {"all": True}, "`set` is missing"),
    "no target": ("retarget", {"all": True}, "`to` is missing"),
    "the same target": ("retarget", {"filter": {"destination": "pacs"}, "to": "pacs"}, "they are for pacs already"),
    "no truth": ("hold", {"all": 1}, "`all`: expected true or false"),
    "a long reason": ("hold", {"all": True, "why": "x" * 201}, "one line of at most 200"),
    "two lines": ("hold", {"all": True, "why": "a\nb"}, "one line of at most 200"),
}


@pytest.mark.parametrize(("name", "body", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(name: str, body: dict[str, Any], words: str) -> None:
    with pytest.raises(WrongRequest, match=words):
        read_request(name, body, NOW)
