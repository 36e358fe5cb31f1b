"""Problems that kinds report: their codes, and the places that they are about."""

KEY_CODES = frozenset(
    {"unknown-predicate", "unknown-action", "unknown-setting", "several-kinds", "missing-setting", "missing-kind"}
)
"""Problems of a name, not of its value."""
