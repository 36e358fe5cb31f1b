"""Attribute paths as people write them: a keyword, a tag, or one of them inside sequences.

``PatientName`` · ``00100010`` · ``(0010,0010)`` · ``RequestAttributesSequence[0].ScheduledProcedureStepID`` ·
``ReferencedStudySequence[*].ReferencedSOPInstanceUID``. An index counts items from 0; ``*`` means every item.
``(0029,[SIEMENS CSA HEADER],10)`` is a private attribute by its creator: group, creator, the last two digits of its
element. Which block the creator reserved is looked up in each object (PS3.5 §7.8.1).
"""

from __future__ import annotations

import re
from functools import lru_cache

from pydicom.datadict import keyword_dict

from gateway.common.setting_faults import did_you_mean, unknown_word
from gateway.dataset.dictionary import SEQUENCE, is_private, name_of, private_vr_of, vr_of
from gateway.dataset.encode import problem_with
from gateway.dataset.private import STAND_IN_BLOCK
from gateway.model.attribute_path import AttributePath

_STEP = re.compile(
    r"\s*(?P<name>[A-Za-z]\w*|[0-9A-Fa-f]{8}"
    r"|\(\s*[0-9A-Fa-f]{4}\s*,\s*[0-9A-Fa-f]{4}\s*\)"
    r"|\(\s*(?P<group>[0-9A-Fa-f]{4})\s*,\s*\[(?P<creator>[^\]]*)\]\s*,\s*(?:xx)?(?P<element>[0-9A-Fa-f]{2})\s*\))"
    r"(?:\[(?P<index>\*|\d{1,6})\])?\s*",
    re.ASCII,
)
_PIECE = re.compile(r"(?:\([^()]*\[[^\]]*\][^()]*\)|[^.])*")
"""Up to the next dot that is not in the name of a private creator."""
_OUTSIDE_DATA_SET = {0x0000: "the command set", 0x0002: "the file meta information"}
_NEVER_A_GROUP = frozenset({0x0001, 0x0003, 0x0005, 0x0007, 0xFFFF, 0xFFFE})  # PS3.5 §7.1, §7.8
_INSTEAD = {
    0x00020002: "use the predicate `sop_class`",
    0x00020003: "use SOPInstanceUID",
    0x00020010: "use the predicate `transfer_syntax`",
    0x00020016: "use the predicate `calling_ae_title`",
}
MAX_STEPS = 16
"""Sequence levels that a path may go down."""


@lru_cache(maxsize=4096)
def parse(text: str) -> AttributePath:
    """The path that `text` names.

    Raises:
        ValueError: it names none; the message says why and what is close.
    """
    pieces = _split(text)
    if len(pieces) - 1 > MAX_STEPS:
        raise ValueError(f"{text!r} goes down {len(pieces) - 1} sequences; at most {MAX_STEPS} are supported")
    steps = [_sequence_step(piece, text) for piece in pieces[:-1]]
    step_creators = tuple(creator for _tag, _index, creator in steps)
    last = _match(pieces[-1], text)
    tag, creator = _named(last)
    if last["index"] is not None:
        name = f"{last['name']}[{last['index']}]"
        raise ValueError(f"{text!r}: {name} is an item, not an attribute; add the attribute after it")
    return AttributePath(
        tag=tag,
        steps=tuple((step, index) for step, index, _creator in steps),
        text=text,
        creator=creator,
        step_creators=step_creators if any(step_creators) else (),
    )


def called(path: AttributePath) -> str:
    """The name of `path` for messages: the keyword or tag that it leads to; a path by private creator as it was
    written.
    """
    return path.text if path.is_by_creator else name_of(path.tag)


@lru_cache(maxsize=4096)
def tag_of(name: str) -> int:
    """The tag (group << 16 | element) of a keyword or of a written tag, within a data set.

    Raises:
        ValueError: unknown, or not part of a data set.
    """
    tag = keyword_dict.get(name)
    if tag is None:
        digits = re.sub(r"[(),\s]", "", name)
        if not re.fullmatch(r"[0-9A-Fa-f]{8}", digits):
            raise ValueError(unknown_word("attribute keyword", name, did_you_mean(name, keyword_dict)))
        tag = int(digits, 16)
    group = tag >> 16
    if group in _OUTSIDE_DATA_SET:
        instead = f"; {_INSTEAD[tag]}" if tag in _INSTEAD else ""
        raise ValueError(f"{name!r} belongs to {_OUTSIDE_DATA_SET[group]}, not to the data set{instead}")
    if group in _NEVER_A_GROUP:
        raise ValueError(f"{name!r}: group {group:04X} never holds data elements (PS3.5 §7.1)")
    return int(tag)


def _split(text: str) -> list[str]:
    pieces: list[str] = []
    position = 0
    while position <= len(text):
        match = _PIECE.match(text, position)
        assert match is not None  # it matches nothing too
        pieces.append(match[0])
        position = match.end() + 1
    if not all(map(str.strip, pieces)):
        raise ValueError(f"{text!r} is not an attribute path; write a keyword, a tag, or Sequence[0].Keyword")
    return pieces


def _match(piece: str, text: str) -> re.Match[str]:
    match = _STEP.fullmatch(piece)
    if match is not None:
        return match
    what = f"{piece!r} is not an attribute in {text!r}" if piece != text else f"{text!r} is not an attribute"
    near = did_you_mean(re.sub(r"[\s_-]", "", piece), keyword_dict) if re.fullmatch(r"[A-Za-z][\w\s-]*", piece) else ""
    private = "; a private one is written as (0029,[SIEMENS CSA HEADER],10)"
    hint = private if piece.lstrip().startswith("(") else near
    raise ValueError(what + hint)


def _named(match: re.Match[str]) -> tuple[int, str]:
    """(tag, private creator) of one piece; with a creator the tag's block is `STAND_IN_BLOCK`."""
    if match["group"] is None:
        return tag_of(match["name"]), ""
    creator = match["creator"].strip()
    group = int(match["group"], 16)
    if not is_private(group << 16):
        raise ValueError(f"{match['name']!r}: group {group:04X} is even, and only odd groups are private (PS3.5 §7.8)")
    problem = "it is empty" if not creator else problem_with((creator,), "LO")
    if problem:
        raise ValueError(f"{match['name']!r}: no private creator has this name: {problem}")
    return tag_of(f"{group:04X}{STAND_IN_BLOCK:02X}{match['element']}"), creator


def _sequence_step(piece: str, text: str) -> tuple[int, int | None, str]:
    match = _match(piece, text)
    name, index = match["name"], match["index"]
    tag, creator = _named(match)
    vr = private_vr_of(tag, creator) if creator else vr_of(tag)
    if vr not in (SEQUENCE, None):
        hint = f"; a part of a name is `component:` in conditions, `{name} | family` in templates" if vr == "PN" else ""
        raise ValueError(f"{text!r}: {name} is not a sequence (its VR is {vr}){hint}")
    if index is None:
        raise ValueError(f"{text!r}: say which item of {name}: {name}[0] is the first, {name}[*] is every one")
    return tag, None if index == "*" else int(index), creator
