"""Field types of kinds: how a setting's text becomes a value, and its JSON Schema, one table row each.

A new field type is one row of `FIELD_TYPES`; predicates and actions use it as an annotation.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import NewType

from pydicom._uid_dict import UID_dictionary

from gateway.common.ip_network import IPNetwork
from gateway.common.setting_faults import did_you_mean, meant, unknown_word
from gateway.dataset import charset
from gateway.dataset.dictionary import SEQUENCE, is_private, name_of
from gateway.dataset.encode import problem_with
from gateway.dataset.private import vr_at
from gateway.forms.field_types import FIELD_TYPES as FIELD_TYPES
from gateway.forms.field_types import FieldType as FieldType
from gateway.model.ae_title import fault_of_ae_title
from gateway.model.attribute_path import AttributePath
from gateway.ports.kinds import Resources
from gateway.routing.language.attribute_path import parse, tag_of
from gateway.routing.language.pattern import Regex
from gateway.routing.language.template import Template

AETitleField = NewType("AETitleField", str)
"""1 to 16 characters of the default repertoire without backslash (PS3.5 §6.2)."""
SOPClassUID = NewType("SOPClassUID", str)
"""A UID; written as keyword, name or UID."""
TransferSyntaxUID = NewType("TransferSyntaxUID", str)
"""A UID; written as keyword, name or UID."""
RemoveTarget = NewType("RemoveTarget", AttributePath)
"""An attribute that rules may take away or empty."""
SetTarget = NewType("SetTarget", AttributePath)
"""An attribute that rules may give a text value."""


GroupNumber = NewType("GroupNumber", int)
"""A group of data elements; written as four hexadecimal digits."""
PrivateElementNumber = NewType("PrivateElementNumber", int)
"""The last two hexadecimal digits of a private element; which block it lies in is its creator's affair."""
PrivateCreator = NewType("PrivateCreator", str)
"""The value of a private creator element (PS3.5 §7.8.1)."""


class TableFile(dict[str, str]):
    """A file's rows, loaded: first column → second column, or line → empty text. Not to be changed."""

    lines: tuple[int, ...] = ()
    """The line of each row in its file."""

    def __repr__(self) -> str:
        return f"TableFile({len(self)} rows)"  # they may name patients


class StatusField(int):
    """A DIMSE status (PS3.7 §C), written with four hexadecimal digits."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"0x{int(self):04X}"

    __repr__ = __str__


CharacterSet = NewType("CharacterSet", str)
"""A defined term of Specific Character Set (0008,0005) that text can be written in."""


class SecretKey(bytes):
    """A secret of the section `keys`; never shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Key(…)"

    __str__ = __repr__


UID_PATTERN = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")  # PS3.5 §9.1
BULK_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW"})

_SOP_CLASS_UID, _SOP_INSTANCE_UID, _STUDY_UID, _SERIES_UID = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
_CHARACTER_SET = 0x00080005
_FIXED = {
    _SOP_CLASS_UID: "it must stay what the association carried the object as",
    _CHARACTER_SET: "every text of the object depends on it",
    0x00080001: "it is computed",
}
_NEEDED = frozenset({_SOP_INSTANCE_UID, _STUDY_UID, _SERIES_UID})


def ae_title(text: str) -> AETitleField:
    """Raises ValueError when `text` cannot be an AE title (PS3.5 §6.2)."""
    if fault := fault_of_ae_title(text):
        raise ValueError(fault)
    return AETitleField(text.strip(" "))


def uid_named(text: str, kinds: tuple[str, ...], noun: str) -> str:
    """The UID that a keyword, a name or a UID means; private UIDs pass.

    Raises:
        ValueError: no such keyword or name, not a UID, or the UID of something else.
    """
    if UID_PATTERN.fullmatch(text):
        if len(text) > 64:
            raise ValueError(f"UID {text!r} has {len(text)} characters; at most 64 are allowed")
        known = UID_dictionary.get(text)
        if known is not None and known[1] not in kinds:
            raise ValueError(f"{text} is not a {noun}: it is {known[0]} ({known[1]})")
        return text
    names = _uid_names(kinds)
    uid = names.get(text) or names.get(text.casefold())
    if uid is None:
        keywords = [name for name in names if name[:1].isupper() and " " not in name]
        near = did_you_mean(text, keywords) or _without_stray_signs(text)
        raise ValueError(unknown_word(noun, text, near))
    return uid


def _without_stray_signs(text: str) -> str:
    """A UID without a sign too many, as at the end of a sentence."""
    uid = text.strip(" .,;\"'")
    return meant(uid) if uid in UID_dictionary else ""


@lru_cache(maxsize=8)
def _uid_names(kinds: tuple[str, ...]) -> dict[str, str]:
    names: dict[str, str] = {}
    for uid, (name, kind, _info, _retired, keyword) in UID_dictionary.items():
        if kind in kinds:
            names[name] = names[name.casefold()] = uid
            if keyword:
                names[keyword] = uid
    return names


def sop_class_uid(text: str) -> SOPClassUID:
    return SOPClassUID(uid_named(text, ("SOP Class", "Meta SOP Class"), "SOP class"))


def transfer_syntax_uid(text: str) -> TransferSyntaxUID:
    return TransferSyntaxUID(uid_named(text, ("Transfer Syntax",), "transfer syntax"))


def network(text: str) -> IPNetwork:
    """An address, or a network as CIDR. Raises ValueError for host names: rules do not look names up."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is neither an address nor a network such as 10.1.0.0/16") from None


def remove_target(text: str) -> RemoveTarget:
    """Raises ValueError for what an object cannot be without."""
    path = _editable(text)
    if not path.steps and path.tag in _NEEDED:
        raise ValueError(f"{text} cannot be removed or emptied: an object must carry it")
    return RemoveTarget(path)


def set_target(text: str) -> SetTarget:
    """Raises ValueError for what rules cannot give a text value."""
    path = _editable(text)
    vr = vr_at(path)
    if vr == SEQUENCE:
        raise ValueError(f"{text} is a sequence: set attributes of its items, as {text}[0].CodeValue")
    if vr is not None and BULK_VRS & set(vr.split(" or ")):
        raise ValueError(f"{text} holds binary data (VR {vr}): it cannot be set from text")
    if vr is None and not is_private(path.tag):
        raise ValueError(f"{text} is in no dictionary, so its VR is unknown: it cannot be set")
    return SetTarget(path)


def group_number(text: str) -> GroupNumber:
    """Raises ValueError for what is no group of a data set."""
    if not re.fullmatch(r"[0-9A-Fa-f]{4}", text):
        raise ValueError(f"{text!r} is not a group: write four hexadecimal digits in quotes, as '0028'")
    tag_of(f"{text}0010")
    return GroupNumber(int(text, 16))


def private_element_number(text: str) -> PrivateElementNumber:
    """Raises ValueError unless it is two hexadecimal digits."""
    if not re.fullmatch(r"(xx)?[0-9A-Fa-f]{2}", text):
        raise ValueError(
            f"{text!r} is not an element of a private block: write two hexadecimal digits in quotes, as '0A'"
        )
    return PrivateElementNumber(int(text[-2:], 16))


def private_creator(text: str) -> PrivateCreator:
    """Raises ValueError for what no private creator element can hold."""
    problem = problem_with((text.strip(),), "LO") if text.strip() else "it is empty"
    if problem:
        raise ValueError(f"{text!r} is not a private creator: {problem}")
    return PrivateCreator(text.strip())


def table_file(text: str, resources: Resources) -> TableFile:
    """Raises ValueError for a file that cannot be read as a table."""
    rows = resources.table(text)
    return rows if isinstance(rows, TableFile) else TableFile(rows)


def key(text: str, resources: Resources) -> SecretKey:
    """Raises ValueError for a name that the section `keys` does not have."""
    return SecretKey(resources.key(text))


def status(text: str) -> StatusField:
    """Raises ValueError for what is no status."""
    match = re.fullmatch(r"(?:0x)?([0-9A-Fa-f]{4})", text)
    if match is None:
        raise ValueError(f"{text!r} is not a status such as 0xA700 (four hexadecimal digits)")
    return StatusField(int(match[1], 16))


_CHARACTER_SETS = {"UTF8": "ISO_IR 192", "UNICODE": "ISO_IR 192", "LATIN1": "ISO_IR 100", "ISO88591": "ISO_IR 100"}
"""Names of other software for character sets."""


def character_set(text: str) -> CharacterSet:
    """Raises ValueError for a term that nobody knows (PS3.3 §C.12.1.1.2). The empty one is the default repertoire, of
    which others are extensions."""
    term = text.strip().upper()
    if term not in charset.TERMS:
        other = _CHARACTER_SETS.get(re.sub("[-_ ]", "", term))
        near = meant(other) if other else did_you_mean(text, filter(None, charset.TERMS))
        raise ValueError(unknown_word("character set", text, near))
    if term == "ISO_IR 6":
        raise ValueError("ISO_IR 6 is the default repertoire, which (0008,0005) cannot name; use ISO_IR 192")
    return CharacterSet(term)


def _editable(text: str) -> AttributePath:
    path = parse(text)
    tag = path.tag
    reason = _FIXED.get(tag) if not path.steps or tag == _CHARACTER_SET else None
    if tag & 0xFFFF == 0:
        reason = "group lengths are computed"
    if tag >> 16 == 0x7FE0:
        reason = "pixel data is not edited by rules"
    if reason is not None:
        raise ValueError(f"{name_of(tag)} cannot be edited: {reason}")
    return path


_PATH = {
    "type": ["string", "integer"],
    "description": "Attribute keyword, tag (00100010), or a path such as RequestAttributesSequence[0].CodeValue",
}


def _names(kind: str) -> list[str]:
    return sorted(keyword for _n, a_kind, _i, _r, keyword in UID_dictionary.values() if a_kind == kind and keyword)


FIELD_TYPES |= {
    AETitleField: FieldType(ae_title, "bad-ae-title", {"type": ["string", "number"], "description": "AE title"}),
    SOPClassUID: FieldType(
        sop_class_uid,
        "unknown-sop-class",
        {"type": "string", "description": "SOP class: keyword, name or UID", "examples": _names("SOP Class")[:3]},
    ),
    TransferSyntaxUID: FieldType(
        transfer_syntax_uid,
        "unknown-transfer-syntax",
        {"type": "string", "description": "Transfer syntax: keyword, name or UID"},
    ),
    IPNetwork: FieldType(network, "bad-address", {"type": "string", "description": "Address, or network as CIDR"}),
    AttributePath: FieldType(parse, "unknown-attribute", _PATH),
    RemoveTarget: FieldType(remove_target, "bad-target", _PATH),
    SetTarget: FieldType(set_target, "bad-target", _PATH),
    TableFile: FieldType(
        table_file,
        "bad-file",
        {
            "type": "string",
            "description": "CSV file of two columns, or text file of one value a line; relative to the YAML file",
        },
        needs_resources=True,
    ),
    StatusField: FieldType(
        status, "bad-status", {"type": ["string", "integer"], "description": "Status such as 0xA700"}
    ),
    CharacterSet: FieldType(
        character_set,
        "unknown-character-set",
        {"type": "string", "description": "Specific Character Set", "examples": ["ISO_IR 192", "ISO_IR 100"]},
    ),
    SecretKey: FieldType(
        key, "unknown-key", {"type": "string", "description": "Name in the section keys"}, needs_resources=True
    ),
    GroupNumber: FieldType(
        group_number, "bad-target", {"type": ["string", "integer"], "description": "Group, as 0028"}
    ),
    PrivateElementNumber: FieldType(
        private_element_number,
        "bad-target",
        {"type": ["string", "integer"], "description": "Last two hexadecimal digits of a private element"},
    ),
    PrivateCreator: FieldType(private_creator, "bad-target", {"type": "string", "description": "Private creator"}),
    Regex: FieldType(Regex, "bad-regex", {"type": ["string", "number"], "description": "Regular expression (RE2)"}),
    Template: FieldType(
        Template,
        "bad-template",
        {
            "type": ["string", "number", "array"],
            "items": {"type": ["string", "number"]},
            "minItems": 1,
            "description": "Value, or Jinja2 template over attribute keywords and association.*",
        },
        takes_list=True,
        needs_resources=True,
    ),
}
