"""The table of DIMSE statuses agrees with itself, with pynetdicom's tables and with the standard's classes."""

import ast
import re
from pathlib import Path

import pytest
from pynetdicom.status import (
    GENERAL_STATUS,
    QR_FIND_SERVICE_CLASS_STATUS,
    QR_GET_SERVICE_CLASS_STATUS,
    QR_MOVE_SERVICE_CLASS_STATUS,
    STORAGE_SERVICE_CLASS_STATUS,
)

from gateway.model import dimse_status
from gateway.model.dimse_status import STATUSES, STORE_STATUSES, Category, StatusRow, is_stored, store_status
from tests.support.source_trees import files_with

PACKAGE = Path(dimse_status.__file__).parents[1]


@pytest.mark.parametrize("row", STATUSES, ids=lambda row: f"{row.service} {row.first:04X}")
def test_a_row_says_the_class_of_its_statuses(row: StatusRow) -> None:
    assert {Category.of(row.first), Category.of(row.last)} == {row.category}


@pytest.mark.parametrize(
    "theirs",
    [
        STORAGE_SERVICE_CLASS_STATUS,
        QR_FIND_SERVICE_CLASS_STATUS,
        QR_MOVE_SERVICE_CLASS_STATUS,
        QR_GET_SERVICE_CLASS_STATUS,
    ],
)
def test_classes_are_those_of_pynetdicom(theirs: dict[int, tuple[str, str]]) -> None:
    for status, (category, _) in {**GENERAL_STATUS, **theirs}.items():
        assert Category.of(status).name == category.upper(), f"{status:04X}"


def test_a_response_that_says_stored_is_a_delivery() -> None:
    for row in STORE_STATUSES:
        assert (store_status(row.first).delivery == "delivered") == is_stored(row.first), row


def test_no_other_module_defines_a_status() -> None:
    codes = {row.first for row in STATUSES} - {0x0000, 0x0001, 0x0110}  # the first and the last are also command fields
    allowed = {PACKAGE / "model/dimse_status.py", PACKAGE / "dimse/protocol/message.py"}
    for path in files_with(PACKAGE, "0x"):
        if path in allowed:
            continue
        source = path.read_text()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Constant) and type(node.value) is int and node.value in codes:
                text = ast.get_source_segment(source, node) or ""
                assert not re.fullmatch(r"0x[0-9A-Fa-f]{4}", text), f"{path}:{node.lineno}: {text}"
