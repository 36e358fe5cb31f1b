"""A result that comes later, without a task."""

from __future__ import annotations

import pytest
import structlog

from gateway.common.completion import Completion


@pytest.mark.parametrize("error", [None, ValueError("no")], ids=["result", "error"])
def test_whoever_waits_is_called_once_and_at_once(error: ValueError | None) -> None:
    completion: Completion[int] = Completion()
    given: list[object] = []
    completion.then(lambda *result: given.append(result))
    assert not completion.done()
    if error is None:
        completion.set_result(7)
    else:
        completion.set_exception(error)
    assert given == [(7, None) if error is None else (None, error)]
    assert completion.done()
    assert not completion.cancelled()


def test_what_the_one_who_waits_raises_does_not_reach_the_one_who_has_the_result() -> None:
    """Others wait for theirs in the same group."""
    completion: Completion[int] = Completion()

    def fail(result: int | None, error: BaseException | None) -> None:
        raise RuntimeError("a fault of ours")

    completion.then(fail)
    with structlog.testing.capture_logs() as logged:
        completion.set_result(1)
    assert [line["event"] for line in logged] == ["completion_failed"]


def test_nobody_needs_to_wait() -> None:
    Completion[int]().set_result(1)
