"""Problems that kinds report: their codes, and the places that they are about."""

KEY_CODES = frozenset(
    {"unknown-predicate", "unknown-action", "unknown-field", "several-kinds", "missing-field", "missing-kind"}
)
"""Problems of a name, not of its value."""
