"""Edits of whole objects and conversions of one data set, as the gateway makes them, and what stands against each."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway.dataset.codecs import EXPLICIT, IMPLICIT, PLAIN
from gateway.dataset.derivation import Loss
from gateway.dataset.encoding import DEFLATED
from gateway.dataset.native import rewritten
from gateway.dataset.scan import at_once, scanning
from gateway.dataset.scanned_level import wanted
from gateway.dataset.scratch import Scratch
from gateway.dataset.splice import splice
from gateway.dataset.transcode import transcode
from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.model.association import AssociationFacts
from gateway.model.instance import Instance, PayloadRef
from gateway.ports.errors import GatewayError
from gateway.routing.facts import facts_for
from gateway.routing.language.kinds import build_actions
from gateway.routing.language.resources import FileResources
from gateway.routing.table import apply_actions, attributes_of

DEFLATED_EXPLICIT = "1.2.840.10008.1.2.1.99"
PASSED = "passed"
ACTIONS: Mapping[str, Any] = {
    "deidentify": {"deidentify": {"key": "test"}},
    "charset": {"charset": {"to": "ISO_IR 192", "undeclared": "ISO_IR 100"}},
    "hash_uid": {"hash_uid": {"key": "test"}},
}
TARGETS = {"to implicit": IMPLICIT, "to explicit": EXPLICIT, "to deflated": DEFLATED_EXPLICIT}
COLUMNS = (*ACTIONS, *TARGETS)


@dataclass(frozen=True, slots=True)
class Subject:
    """One data set as a sender has it."""

    name: str
    data: bytes
    transfer_syntax_uid: str
    sop_class_uid: str
    sop_instance_uid: str


def outcomes(subject: Subject) -> dict[str, str]:
    """By column: `PASSED`, or the reason that an operator would read. Other errors are faults, and are raised."""
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    found: dict[str, str] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some objects are odd on purpose
        for name in ACTIONS:
            found[name] = _tried(lambda name=name: _edited(subject, name))  # type: ignore[misc]
        for name, target in TARGETS.items():
            found[name] = _tried(lambda target=target: _converted(subject, target))  # type: ignore[misc]
    return found


def _tried(make: Callable[[], None]) -> str:
    try:
        make()
    except GatewayError as error:
        return str(error)
    return PASSED


def _edited(subject: Subject, name: str) -> None:
    """Raises GatewayError."""
    actions = build_actions([ACTIONS[name]], _no_problem, FileResources({"test": b"a key of thirty-two bytes for it"}))
    body = MemoryDataSet(subject.data)
    facts = facts_for(_instance(subject), body, attributes_of(actions))
    made = b"".join(splice(body.view(), subject.transfer_syntax_uid, apply_actions(actions, facts)))
    _check_readable(made, subject.transfer_syntax_uid, is_strict=False)


def _converted(subject: Subject, target: str) -> None:
    """Raises GatewayError. What comes out is to the letter, but for odd lengths."""
    data, syntax = subject.data, subject.transfer_syntax_uid
    if syntax not in PLAIN and syntax not in DEFLATED:
        with tempfile.TemporaryDirectory() as folder:
            native = transcode(memoryview(data), syntax, [EXPLICIT], Loss(), Scratch(folder))
            data, syntax = b"".join(native.pieces), EXPLICIT
    made = rewritten(memoryview(data), syntax, target)
    _check_readable(made, target, is_strict=True)


def _check_readable(data: bytes, transfer_syntax_uid: str, *, is_strict: bool) -> None:
    at_once(scanning(memoryview(data), transfer_syntax_uid, wanted(()), is_strict=is_strict))


def _instance(subject: Subject) -> Instance:
    return Instance(
        sop_class_uid=subject.sop_class_uid,
        sop_instance_uid=subject.sop_instance_uid,
        transfer_syntax_uid=subject.transfer_syntax_uid,
        study_instance_uid="",
        series_instance_uid="",
        association=AssociationFacts("CT1", "GATEWAY", "127.0.0.1"),
        payload=PayloadRef("", 0, len(subject.data), b""),
        received_at=datetime(2026, 1, 2, tzinfo=UTC),
    )


def _no_problem(path: tuple[str | int, ...], code: str, message: str) -> None:
    raise AssertionError((path, code, message))
