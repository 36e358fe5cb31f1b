"""The standard's words: SOP classes and transfer syntaxes by keyword, name or UID; AE titles."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from pydicom.uid import UID_dictionary

from gateway.config.findings import did_you_mean

UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")
"""PS3.5 §9.1; at most 64 characters."""

NOUNS = {"SOP Class": "a SOP class", "Meta SOP Class": "a SOP class", "Transfer Syntax": "a transfer syntax"}


@dataclass(frozen=True, slots=True)
class Unknown:
    """Why a word could not be resolved."""

    code: str
    message: str


@cache
def _uids() -> dict[str, tuple[str, str]]:
    """UID → (type, keyword)."""
    return {uid: (entry[1], entry[4]) for uid, entry in UID_dictionary.items()}


@cache
def _words(noun: str) -> dict[str, str]:
    """Keyword and folded name → UID, of one sort of UID."""
    words: dict[str, str] = {}
    for uid, (name, sort, _, _, keyword) in UID_dictionary.items():
        if NOUNS.get(sort) == noun:
            words[name.casefold()] = uid
            words[keyword] = uid
    return words


@cache
def _keywords(noun: str) -> tuple[str, ...]:
    return tuple(keyword for _, (sort, keyword) in _uids().items() if NOUNS.get(sort) == noun)


def _resolve(word: str, noun: str) -> str | Unknown:
    words = _words(noun)
    if word in words:
        return words[word]
    if word.casefold() in words:
        return words[word.casefold()]
    if not word[:1].isdigit():
        return Unknown(f"unknown-{noun[2:].lower().replace(' ', '-')}", f"is not {noun}{_near(word, noun)}")
    if len(word) > 64 or not UID.fullmatch(word):
        return Unknown("bad-uid", "is not a UID: numbers without leading zeros and dots, at most 64 characters (PS3.5 §9.1)")
    sort, keyword = _uids().get(word, ("", ""))
    if sort and NOUNS.get(sort) != noun:
        return Unknown("wrong-uid", f"is {keyword}, not {noun}")
    return word


def _near(word: str, noun: str) -> str:
    sort = next((sort for sort, keyword in _uids().values() if keyword == word), "")
    if sort in NOUNS:
        return f" but {NOUNS[sort]}"
    return did_you_mean(word, _keywords(noun))


def sop_class_uid(word: str) -> str | Unknown:
    """The UID of a SOP class; a UID that the dictionary does not hold is taken as private."""
    return _resolve(word, "a SOP class")


def transfer_syntax_uid(word: str) -> str | Unknown:
    """The UID of a transfer syntax; a UID that the dictionary does not hold is taken as private."""
    return _resolve(word, "a transfer syntax")


def ae_title_fault(text: str) -> str:
    """What is wrong with an AE title (PS3.5 §6.2); empty when nothing is."""
    if len(text) > 16:
        return f"an AE title has at most 16 characters, this one has {len(text)} (PS3.5 §6.2)"
    if not text.strip(" "):
        return "an AE title is not empty and not only spaces (PS3.5 §6.2)"
    if "\\" in text:
        return "an AE title holds no backslash (PS3.5 §6.2)"
    if any(not " " <= character <= "~" for character in text):
        return "an AE title holds printable ASCII characters only (PS3.5 §6.2)"
    return ""
