"""The section `gateway:`: defaults, bounds, and what stands in for what is wrong."""

from __future__ import annotations

import pytest

from gateway.config.spec.process import GatewaySpec, HTTPSpec, LimitsSpec, ListenerSpec, SpoolSpec
from tests.support.sections import built


def test_two_settings_are_enough() -> None:
    section, problems = built(GatewaySpec, "{ae_title: GW, listeners: [{port: 11112}]}")
    assert problems == []
    assert section == GatewaySpec(ae_title="GW", listeners=(ListenerSpec(port=11112),))
    assert section.spool == SpoolSpec(path="var/spool", min_free="5 GiB")
    assert (section.http, section.admit, section.drain) == (None, "known", "30 s")


BAD = {
    "a required name that is wrong": (
        "{ae_title: TOO-LONG-FOR-A-TITLE, listeners: [{port: 1}]}",
        ["1:12: bad-ae-title: AE title 'TOO-LONG-FOR-A-TITLE' has 20 characters; at most 16 are allowed"],
    ),
    "a required list that is missing": ("{ae_title: GW}", ["1:1: missing-setting: the setting `listeners` is missing"]),
    "a required list that is empty": (
        "{ae_title: GW, listeners: []}",
        ["1:27: empty: this list is empty; write at least one value, or leave the setting out"],
    ),
    "a port that is none": (
        "{ae_title: GW, listeners: [{port: 70000}, {port: 2}]}",
        ["1:35: out-of-range: expected a number from 0 to 65535, found `70000`"],
    ),
    "a size in a number of bytes": (
        "{ae_title: GW, listeners: [{port: 1}], limits: {max_pdu: '64 KiB'}}",
        [
            "1:58: wrong-type: expected a PDU length such as `131072`, found the text `64 KiB`; it is in bytes, "
            "without a unit (did you mean `65536`?)"
        ],
    ),
    "a word of another setting": (
        "{ae_title: GW, listeners: [{port: 1}], admit: knwon}",
        ["1:47: not-one-of: expected `any` or `known`, found `knwon` (did you mean `known`?)"],
    ),
}


@pytest.mark.parametrize(("text", "problems"), BAD.values(), ids=BAD)
def test_the_rest_is_there_after_a_mistake(text: str, problems: list[str]) -> None:
    section, found = built(GatewaySpec, text)
    assert found == problems
    assert section is not None
    assert section.listeners


def test_the_port_that_is_meant_for_http_is_its_own() -> None:
    section, found = built(HTTPSpec, "{address: localhost}")
    assert section == HTTPSpec()
    assert found == [
        "1:11: bad-format: expected an address such as `127.0.0.1:8080`, found `localhost` "
        "(did you mean `localhost:8080`?)"
    ]


def test_a_limit_that_has_no_default_is_none() -> None:
    section, found = built(LimitsSpec, "{associations: 8}")
    assert found == []
    assert section is not None
    assert (section.associations, section.associations_of_strangers) == (8, None)
