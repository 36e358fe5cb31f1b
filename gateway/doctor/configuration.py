"""The configuration itself: the problems of `gateway validate`, and the users who may write the files."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from gateway.common.file_modes import is_writable_by_others
from gateway.doctor.finding import DoctorFinding, found
from gateway.model.problem import Problem

REMEDIES: Mapping[str, str] = {
    "out-of-date": "renew it; a running gateway reads it again within a minute",
    "ends-soon": "renew it in time; a running gateway reads it again within a minute",
    "not-yet-valid": "look at the clock (`date`); else have it issued anew",
    "readable-by-others": "`chmod o-rwx` the file, and make the gateway's user its owner",
}
"""Code of `gateway validate` → what to do, where the message does not say it."""
CORRECT = "correct it there; `gateway validate` checks it again"


def problem_findings(problems: Iterable[Problem], rules: Path) -> Iterator[DoctorFinding]:
    """The problems of `gateway validate`, each under its own code; or a note that there is none."""
    is_valid = True
    for problem in problems:
        is_valid = False
        place = str(problem.mark)
        remedy = REMEDIES.get(problem.code, CORRECT)
        yield DoctorFinding(problem.severity, "configuration", problem.code, place, problem.message, remedy)
    if is_valid:
        yield found("valid", str(rules), "no errors and no warnings, rules that can never hold included")


def writers(rules: Path) -> Iterator[DoctorFinding]:
    """Findings for files and folders of the rules that every user may write."""
    paths = [rules, *sorted(path for path in rules.rglob("*"))] if rules.is_dir() else [rules]
    for path in paths:
        if path.suffix != ".yaml" and not path.is_dir():
            continue
        try:
            is_open = is_writable_by_others(str(path))
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:  # that it cannot be read stands among the problems
            continue
        if is_open:
            yield found("rules-writable-by-others", str(path), f"its mode is {mode:04o}")
