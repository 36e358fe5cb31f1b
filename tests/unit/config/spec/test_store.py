"""The section `gateway.store`: names, URLs and prefixes that fit, and those that do not."""

from __future__ import annotations

import pytest

from gateway.config.spec.store import S3Spec, StoreSpec
from tests.support.sections import built

VALUES = {
    "bucket": (["abc", "a.b-c", "0" * 63], ["ab", "Abc", "a_b", "-ab", "ab-", "a" * 64, "a/b"]),
    "endpoint": (
        ["https://h", "http://10.1.0.5:9000", "https://[2001:db8::7]:9000", "https://s3.example.org/"],
        ["h:9000", "ftp://h", "https://h/images", "https://user@h", "https://user:hush@h", "https://h?x", "https://"],
    ),
    "prefix": (["a", "a/b", "a/b/", "North_1/ct.7"], ["/a", "a//b", "..", "a/../b", ".a", "a b", "a" * 201, "é"]),
    "region": (["us-east-1", "garage"], ["eu west", "", "eu/west"]),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, (good, _) in VALUES.items() for value in good])
def test_values_that_fit(name: str, value: str) -> None:
    section, problems = built(S3Spec, f"{{{'' if name == 'bucket' else 'bucket: images, '}{name}: '{value}'}}")
    assert problems == []
    assert getattr(section, name) == value


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, (_, bad) in VALUES.items() for value in bad])
def test_values_that_do_not_fit(name: str, value: str) -> None:
    _, (problem,) = built(S3Spec, f"{{{'' if name == 'bucket' else 'bucket: images, '}{name}: '{value}'}}")
    assert f"expected a {'URL' if name == 'endpoint' else name} such as" in problem


@pytest.mark.parametrize("node", ["a", "_7", "north-1.example.org", "n" * 63])
def test_names_of_nodes(node: str) -> None:
    section, problems = built(StoreSpec, f"{{postgresql: p, node: {node}}}")
    assert problems == []
    assert section is not None
    assert section.node == node


@pytest.mark.parametrize("node", ["-a", ".a", "a b", "n" * 64, "a/b", "é"])
def test_names_that_no_node_has(node: str) -> None:
    _, (problem,) = built(StoreSpec, f"{{postgresql: p, node: '{node}'}}")
    assert "bad-format: expected a name such as `north-1`" in problem
