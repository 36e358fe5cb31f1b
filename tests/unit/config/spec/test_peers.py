"""The sections `peers:` and `groups:`."""

from __future__ import annotations

import pytest

from gateway.config.spec.associate import AssociateSpec
from gateway.config.spec.peers import FolderSpec, GroupSpec, PeerSpec, RetrySpec
from tests.support.sections import built


def test_a_peer_has_every_default() -> None:
    section, problems = built(PeerSpec, "{ae_title: PACS, address: 'pacs:104'}")
    assert problems == []
    assert section == PeerSpec(ae_title="PACS", address="pacs:104")
    assert section.associate == AssociateSpec()
    assert section.delivery.retry == RetrySpec(first="10 s", factor=2.0)


BAD = {
    "title and address swapped": (
        "{ae_title: 10.1.0.5, address: PACS}",
        [
            "1:31: bad-format: expected an address such as `pacs.example.org:104`, found `PACS`; "
            "are `ae_title` and `address` swapped?"
        ],
    ),
    "a setting of other software": (
        "{aet: PACS, address: 'pacs:104'}",
        ["1:2: unknown-setting: there is no setting `aet` here; write `ae_title`"],
    ),
    "one word for a list": (
        "{ae_title: PACS, may: 'store, find'}",
        ["1:23: wrong-type: expected a list, found the text `store, find` (did you mean `[store, find]`?)"],
    ),
    "one of a list": (
        "{ae_title: PACS, may: [store, fnid]}",
        ["1:31: not-one-of: expected `echo`, `find`, `get`, `move` or `store`, found `fnid` (did you mean `find`?)"],
    ),
    "a quoted number": (
        "{ae_title: PACS, delivery: {retry: {factor: '1.50'}, associations: 3}}",
        ["1:45: wrong-type: expected a number, found the text `1.50`; leave out the quotes"],
    ),
}


@pytest.mark.parametrize(("text", "problems"), BAD.values(), ids=BAD)
def test_mistakes_have_their_place_and_the_rest_is_built(text: str, problems: list[str]) -> None:
    section, found = built(PeerSpec, text)
    assert found == problems
    assert section is not None


def test_what_is_right_beside_a_mistake_stays() -> None:
    section, _found = built(PeerSpec, BAD["a quoted number"][0])
    assert section is not None
    assert (section.delivery.associations, section.delivery.retry.factor) == (3, 2.0)
    section, _found = built(PeerSpec, BAD["one of a list"][0])
    assert section is not None
    assert section.may == ("store",)


def test_a_group_that_is_no_mapping() -> None:
    problem = "1:1: wrong-type: expected a mapping, found a list; write the peers as `all: […]`"
    assert built(GroupSpec, "[pacs]") == (None, [problem])


def test_a_group_of_a_kind_of_other_software_names_what_is_meant() -> None:
    """That it has no members: `gateway.config.groups`."""
    _, found = built(GroupSpec, "{first: [pacs]}")
    assert found == ["1:2: not-supported-yet: `first` is written `failover: […]`: the first of these that is up"]


def test_a_folder_needs_its_path() -> None:
    assert built(FolderSpec, "{acces: group}") == (
        None,
        [
            "1:1: missing-setting: the setting `path` is missing",
            "1:2: unknown-setting: there is no setting `acces` here (did you mean `access`?)",
        ],
    )
