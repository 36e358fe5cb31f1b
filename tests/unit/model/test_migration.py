"""Which stores a mark keeps from starting, and what it says to operators."""

import pytest

from gateway.model.migration import MigrationMark, MigrationRole


@pytest.mark.parametrize(
    ("role", "is_complete", "expected"),
    [
        ("source", False, "it is being migrated to there; run `gateway store migrate` again, which goes on, or give"),
        ("source", True, "it was migrated to there, which delivers what was owed here; start the gateway there."),
        ("destination", False, "it holds the beginning of a migration from there; run `gateway store migrate` again,"),
        ("destination", True, ""),
    ],
)
def test_a_mark_says_why_nothing_starts(role: MigrationRole, is_complete: bool, expected: str) -> None:
    refusal = MigrationMark("1", role, "there", is_complete=is_complete).refusal
    assert refusal.startswith(expected)
    assert bool(refusal) == bool(expected)
