"""Problems that kinds report: their codes, and the places that they are about."""

from __future__ import annotations

from gateway.config.compile_context import Context
from gateway.config.tree import Place, without_secrets
from gateway.forms.building import KeyPath, ReportProblem
from gateway.model.problem import Mark, SettingPath

KEY_CODES = frozenset(
    {
        "unknown-predicate",
        "unknown-action",
        "unknown-setting",
        "several-kinds",
        "missing-setting",
        "missing-kind",
        "not-supported-yet",
    }
)
"""Problems of a name, not of its value."""


def reporter(place: Place, context: Context) -> ReportProblem:
    """Reports problems of a kind that is written at `place`, each where it stands."""

    def report(path: SettingPath, code: str, message: str) -> None:
        context.findings.error(mark_of(place, path, code), code, without_secrets(message, place.at(*path)))

    return report


def mark_of(place: Place, path: SettingPath, code: str) -> Mark:
    """The place of a problem at `path` below `place`: that of the name or that of the value."""
    at = place.at(*path)
    return at.holder if _is_of_key(path, code) else at.mark


def _is_of_key(path: SettingPath, code: str) -> bool:
    """True when a problem is about the name that stands at the end of `path`, not about its value."""
    return code in KEY_CODES or isinstance(path, KeyPath)
