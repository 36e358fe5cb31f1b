"""Each kind of fault has one phrase and one code, whatever engine finds it."""

import pytest

from gateway.common import setting_faults as faults
from gateway.common.setting_faults import SettingFault

PHRASES = {
    "misspelt setting": (
        faults.unknown_setting("adress", ["address", "port"]),
        "unknown-setting",
        "there is no setting `adress` here (did you mean `address`?)",
    ),
    "setting that is like no other": (
        faults.unknown_setting("colour", ["address", "port"]),
        "unknown-setting",
        "there is no setting `colour` here; known here: `address` or `port`",
    ),
    "setting that is called otherwise": (
        faults.unknown_setting("adress", ["address"], "; write `address: HOST:PORT`"),
        "unknown-setting",
        "there is no setting `adress` here; write `address: HOST:PORT`",
    ),
    "second half of a number with a comma": (
        faults.unknown_setting("5", ["ratio"]),
        "unknown-setting",
        "there is no setting `5` here; inside { } a comma divides settings: write numbers without one",
    ),
    "missing": (faults.missing_setting("key"), "missing-setting", "the setting `key` is missing"),
    "needs another": (faults.needs("key", ["certificate"]), "missing-setting", "`key` needs `certificate`"),
    "needs one of several": (
        faults.needs("map", ["values", "table"], "what stands for what"),
        "missing-setting",
        "`map` needs one of `values` or `table`, what stands for what",
    ),
    "wrong type": (
        faults.wrong_type("a list", "a mapping", faults.AS_LIST),
        "wrong-type",
        "expected a list, found a mapping; put it in [ ], or write it as `- …`",
    ),
    "bad format": (faults.bad_format("a duration", "`5`"), "bad-format", "expected a duration, found `5`"),
    "none of the words": (
        faults.not_one_of(["store", "find"], "`stor`", "stor"),
        "not-one-of",
        "expected `store` or `find`, found `stor` (did you mean `store`?)",
    ),
    "none of the words, and a secret": (
        faults.not_one_of(["store", "find"], "`${WORD}`"),
        "not-one-of",
        "expected `store` or `find`, found `${WORD}`",
    ),
    "out of range": (
        faults.out_of_range("a number from 0 to 9", "`10`"),
        "out-of-range",
        "expected a number from 0 to 9, found `10`",
    ),
    "empty": (
        faults.empty("list"),
        "empty",
        "this list is empty; write at least one value, or leave the setting out",
    ),
    "not both": (
        faults.not_both("a peer", "address", "folder", "; make two peers"),
        "conflict",
        "a peer has `address` or `folder`, not both; make two peers",
    ),
}


@pytest.mark.parametrize(("fault", "code", "message"), PHRASES.values(), ids=PHRASES)
def test_phrases(fault: SettingFault, code: str, message: str) -> None:
    assert (fault.code, fault.message) == (code, message)


FOUND = {
    "nothing": (None, "nothing"),
    "truth": (True, "`true`"),
    "number": (1.5, "`1.5`"),
    "text": ("MR", "the text `MR`"),
    "text of lines": ("a\nb", "the text `a\\nb`"),
    "long text": ("x" * 61, f"the text `{'x' * 60}…`"),
    "empty text": ("", "an empty text"),
    "mapping": ({"a": 1}, "a mapping"),
    "empty mapping": ({}, "an empty mapping"),
    "list": ([1], "a list"),
    "empty list": ((), "an empty list"),
}


@pytest.mark.parametrize(("value", "words"), FOUND.values(), ids=FOUND)
def test_values_are_called(value: object, words: str) -> None:
    assert faults.found(value) == words


def test_words_in_a_row() -> None:
    assert faults.listed([]) == ""
    assert faults.listed(["a"]) == "`a`"
    assert faults.listed(["a", "b", "c"]) == "`a`, `b` or `c`"
    assert faults.listed(["a", "b"], "and") == "`a` and `b`"


def test_names_that_there_are_not() -> None:
    assert faults.no_such_name("peer", "`pacz`", "pacz", ["pacs"]) == "no peer is named `pacz` (did you mean `pacs`?)"
    assert faults.no_such_name("peer", "`x`", "x", ["pacs"]) == "no peer is named `x`"
    listed = faults.no_such_name("listener", "`x`", "x", {"b", "a"}, are_known_listed=True)
    assert listed == "no listener is named `x`; there are `a` and `b`"
    assert faults.unknown_word("filter", "uper", faults.did_you_mean("uper", ["upper"])) == (
        "unknown filter `uper` (did you mean `upper`?)"
    )


HINTS = {
    "quoted number": (faults.number_hint("-1.5"), "; leave out the quotes"),
    "zeros before a number": (faults.number_hint("0104"), "; leave out the zeros before it"),
    "no number": (faults.number_hint("ten"), ""),
    "yes": (faults.yes_no_hint("Yes"), " (did you mean `true`?)"),
    "off": (faults.yes_no_hint("off"), " (did you mean `false`?)"),
    "neither": (faults.yes_no_hint("maybe"), ""),
    "value for a mapping": (
        faults.as_mapping(["rows", "columns", "frames"]),
        "; it has settings of its own, as {rows: …, columns: …}",
    ),
    "value for a mapping without settings": (faults.as_mapping([]), ""),
}


@pytest.mark.parametrize(("hint", "words"), HINTS.values(), ids=HINTS)
def test_hints(hint: str, words: str) -> None:
    assert hint == words


def test_one_way_alone() -> None:
    assert faults.one_way("attribute", "equals") == (
        "`attribute` compares in one way only, and has `equals` already; combine with `all:`"
    )
