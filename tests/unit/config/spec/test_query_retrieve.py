"""The section `query_retrieve:`."""

from __future__ import annotations

from gateway.config.spec.query_retrieve import HideSpec, QueryRetrieveSpec, RelaySpec
from gateway.config.spec.values import MISSING
from gateway.forms.groups import settings
from tests.support.sections import built


def test_move_destinations_are_ae_titles() -> None:
    section, problems = built(
        QueryRetrieveSpec, "{sources: [local], move_destinations: {ALL: [pacs, vna], 'A\\B': [pacs], NONE: []}}"
    )
    assert problems == [
        "1:58: bad-ae-title: AE title 'A\\\\B' may only hold printable ASCII without backslash",
        "1:79: empty: this list is empty; write at least one value, or leave the setting out",
    ]
    assert section is not None
    assert dict(section.move_destinations) == {"ALL": ("pacs", "vna")}


def test_a_setting_may_be_a_word_of_python() -> None:
    assert list(settings(HideSpec)) == ["when", "from", "name", "enabled"]
    section, problems = built(HideSpec, "{when: {}, from: [research]}")
    assert problems == []
    assert section == HideSpec(when=None, from_=("research",))


def test_a_coercion_of_retrieves_without_destinations_has_a_stand_in() -> None:
    section, problems = built(QueryRetrieveSpec, "{sources: [local], coercions: [{then: []}]}")
    assert problems == ["1:32: missing-setting: the setting `to` is missing"]
    assert section is not None
    assert section.coercions[0].to == (MISSING,)


def test_relayed_queries_have_no_servers_by_default() -> None:
    assert built(RelaySpec, "{}") == (RelaySpec(), [])
    assert RelaySpec().worklist == ()
