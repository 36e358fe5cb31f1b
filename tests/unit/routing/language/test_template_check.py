"""All that is wrong with a template is found before any object, at once."""

from __future__ import annotations

import pytest

from gateway.routing.language.resources import FileResources
from gateway.routing.language.template_check import MAX_DEPTH, check_tree
from gateway.routing.language.template_sandbox import ENVIRONMENT


def test_attributes_what_filters_are_given_and_the_depth() -> None:
    tree = ENVIRONMENT.parse("{{ PatientID | uid('k') }} {{ PatientName }} {{ association.calling_ae_title }}")
    attributes, given, depth = check_tree(tree, FileResources({"k": b"x" * 16}))
    assert [name for name, _path in attributes] == ["PatientID", "PatientName"]
    assert b"x" * 16 in [key for keys in given.values() for key in dict(keys).values()]  # type: ignore[call-overload]
    assert 2 <= depth < MAX_DEPTH


def test_every_problem_is_said() -> None:
    tree = ENVIRONMENT.parse("{{ Foo }} {{ PatientID.uper() }} {{ association }} {% for a in 'x' %}{% endfor %}")
    with pytest.raises(ValueError, match=r"`Foo`.*'uper'.*needs a field.*For is not allowed"):
        check_tree(tree, None)


def test_a_tree_that_is_too_deep() -> None:
    tree = ENVIRONMENT.parse("{{ " + "not " * (MAX_DEPTH + 1) + "PatientID }}")
    with pytest.raises(RecursionError):
        check_tree(tree, None)
