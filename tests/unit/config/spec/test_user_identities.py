"""The section `user_identities:`."""

from __future__ import annotations

from gateway.config.spec.user_identities import IdentityCommandSpec, IdentityMethodSpec, TokenSpec
from tests.support.sections import built


def test_tokens() -> None:
    section, problems = built(IdentityMethodSpec, "{jwt: {keys: issuer.jwks, issuer: i, audience: a}}")
    assert problems == []
    assert section == IdentityMethodSpec(jwt=TokenSpec(keys=("issuer.jwks",), issuer="i", audience=("a",)))


def test_a_command_without_its_types_is_none() -> None:
    section, problems = built(IdentityMethodSpec, "{command: {run: [/bin/true], time_limit: 5 minutes}}")
    assert problems == [
        "1:2: missing-setting: the setting `types` is missing",
        "1:42: bad-format: expected a duration such as `10 s`, found `5 minutes` (did you mean `5 min`?)",
    ]
    assert section == IdentityMethodSpec()


def test_an_algorithm_that_is_not_taken() -> None:
    section, problems = built(TokenSpec, "{keys: k, issuer: i, audience: a, algorithms: [none]}")
    assert section == TokenSpec(keys=("k",), issuer="i", audience=("a",))
    assert len(problems) == 1
    assert problems[0].startswith("1:48: not-one-of: expected `ES256`, ")


def test_a_command_is_a_list() -> None:
    section, problems = built(IdentityCommandSpec, "{run: /bin/check -x, types: [saml]}")
    assert section is None
    assert problems == [
        "1:7: wrong-type: expected a list, found the text `/bin/check -x` (did you mean `[/bin/check, -x]`?)"
    ]
