"""A transaction that met another one is done again, a few times."""

from __future__ import annotations

import pytest

from gateway.ports.errors import Temporary, TransactionConflict
from gateway.ports.retrying import TRIES, retried


class Transaction:
    """Meets others so many times."""

    def __init__(self, meets: int, error: Exception) -> None:
        self.calls = 0
        self._meets = meets
        self._error = error

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self._meets:
            raise self._error
        return "done"


@pytest.mark.parametrize("meets", [0, 1, TRIES - 1])
def test_it_is_done_again_until_it_is_through(meets: int) -> None:
    transaction = Transaction(meets, TransactionConflict("another one"))
    assert retried(transaction) == "done"
    assert transaction.calls == meets + 1


def test_it_is_given_up_in_the_end() -> None:
    transaction = Transaction(TRIES, TransactionConflict("another one"))
    with pytest.raises(TransactionConflict, match="another one"):
        retried(transaction)
    assert transaction.calls == TRIES


def test_other_errors_are_not_for_it() -> None:
    transaction = Transaction(1, Temporary("held"))
    with pytest.raises(Temporary, match="held"):
        retried(transaction)
    assert transaction.calls == 1
