"""How far a verb is: a line each few seconds, none of a short one."""

from __future__ import annotations

from gateway.cli.verb_progress import EACH_S, VerbProgress
from gateway.operations.queue_administration import RETARGET, Progress


def test_a_line_each_few_seconds() -> None:
    now_s, lines, progress = [100.0], list[str](), Progress(operation_id=7)
    shown = VerbProgress(RETARGET, progress, 1_000_000, lines.append, lambda: now_s[0])
    shown.look()
    now_s[0] += EACH_S
    shown.look()
    assert lines == [], "nothing was done yet"
    progress.done, progress.busy = 90_000, 10_000
    shown.look()
    shown.look()
    now_s[0] += EACH_S - 0.1
    shown.look()
    assert lines == ["90000 of 1000000 deliveries re-targeted, about 45 s left; operation 7"]
    progress.done = 1_100_000
    now_s[0] += 0.1
    shown.look()
    assert lines[1:] == ["1100000 of 1000000 deliveries re-targeted, about 0 s left; operation 7"]
