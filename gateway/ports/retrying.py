"""A transaction that met another one is done again, by the layer that owns it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import structlog

from gateway.ports.errors import TransactionConflict

log = structlog.get_logger()

TRIES = 5
"""The number of tries of one transaction. The server ends one of two that wait for each other, and the other one gets
through."""

T = TypeVar("T")


def retried(transaction: Callable[[], T]) -> T:
    """The answer of `transaction`, which is all of one: it is called again when it met another one.

    Raises TransactionConflict when it did so each time.
    """
    for number in range(1, TRIES):
        try:
            return transaction()
        except TransactionConflict as error:
            log.info("transaction_retried", number=number, reason=str(error))
    return transaction()
