"""Templates' Jinja2: what it has, and the cap on every result."""

from __future__ import annotations

import pytest
from jinja2.exceptions import SecurityError

from gateway.routing.language.template_sandbox import ENVIRONMENT, FILTERS, MAX_RESULT_CHARACTERS, TESTS, capped


def test_it_has_the_listed_words_and_no_others() -> None:
    assert set(ENVIRONMENT.filters) == FILTERS
    assert set(ENVIRONMENT.tests) == TESTS
    assert ENVIRONMENT.globals == {}


@pytest.mark.parametrize(
    "value", ["x" * MAX_RESULT_CHARACTERS, [1], 10**30, None], ids=["text", "list", "number", "none"]
)
def test_what_is_under_the_cap_passes(value: object) -> None:
    assert capped(value) is value


@pytest.mark.parametrize("value", ["x" * (MAX_RESULT_CHARACTERS + 1), (0,) * (MAX_RESULT_CHARACTERS + 1)], ids=len)
def test_what_is_above_it_does_not(value: object) -> None:
    with pytest.raises(SecurityError, match="at most"):
        capped(value)


OVER = {
    "operator on texts": "{{ 'a' * 9 }}",
    "function": "{{ f() }}",
    "method of something else": "{{ (1).bit_length() }}",
    "replace that grows": "{{ t.replace('', t) }}",
    "join that grows": "{{ [t, t, t] | join(t) }}",
}


@pytest.mark.parametrize("text", OVER.values(), ids=OVER)
def test_refused_while_it_is_rendered(text: str) -> None:
    with pytest.raises(SecurityError):
        ENVIRONMENT.from_string(text).render(t="x" * MAX_RESULT_CHARACTERS, f=lambda: 1)
