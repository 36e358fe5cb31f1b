"""Faults that jsonschema finds → faults with a place and the nearest fix, in the phrases of `setting_faults`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.common import setting_faults as faults
from gateway.common.quantity import BYTES, size_bytes
from gateway.common.setting_faults import SettingFault, listed
from gateway.config.spec import LATER
from gateway.config.tree import MappingNode, Node, Place, Plain, ScalarNode, SequenceNode, located, without_secrets
from gateway.model.problem import Mark, SettingPath
from gateway.routing.language.fields import ae_title

MISSING = "__missing__"
STAND_INS: Mapping[tuple[str, str], Plain] = {
    ("GatewaySpec", "ae_title"): MISSING,
    ("GatewaySpec", "listeners"): [{"port": 0}],
    ("RouteSpec", "name"): MISSING,
    ("CoercionSpec", "then"): [MISSING],
    ("RetrieveCoercionSpec", "then"): [MISSING],
    ("RetrieveCoercionSpec", "to"): [MISSING],
}
"""(type, setting) → what stands in for a required setting that is missing or wrong, once that was reported."""

SHORT_FORMS = {"CertificateSpec": "subject_alternative_name", "IdentityCheckSpec": "verified_by"}
"""Mapping → the setting that is meant by a text in its place."""
WORD = re.compile(r"[A-Za-z_][\w.-]*")
SIZE = re.compile(r"[0-9]+ ?(" + "|".join(BYTES) + ")")
WORDS = re.compile(r"[\w.:/*-]+")
TITLE_AT_PLACE = re.compile(r"([A-Za-z0-9_-]{1,16})@([^\s@:]+:[0-9]+)")
FINGERPRINT = re.compile(r"([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}")

MEANT: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("aet", "aetitle", "ae", "title"), ("ae_title", "")),
    **dict.fromkeys(("host", "hostname", "ip", "port"), ("address", "address: HOST:PORT")),
    **dict.fromkeys(("tls", "tls_args", "ssl"), ("associate", "associate: {tls_args: {…}}")),
    **dict.fromkeys(("if", "match", "matches", "condition", "conditions", "filter"), ("when", "")),
    **dict.fromkeys(("from", "source", "sources"), ("when", "when: {calling_ae_title: …}")),
    **dict.fromkeys(("do", "action", "actions"), ("then", "")),
    **dict.fromkeys(("destination", "destinations", "target", "targets", "send_to"), ("to", "")),
}
"""Names that users write → the setting that they mean, where there is one, and how it is written."""

OTHER_GROUPS = {
    "first": "(the first that answers) is not supported by this version: a group sends to each of its peers, as `all`",
    "any": "(one of them) is not supported by this version: a group sends to each of its peers, as `all`",
}
"""Kinds of groups that people expect; what is said of them."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One error of jsonschema: where, which keyword of the schema does not hold, and its value."""

    path: SettingPath
    keyword: str
    expected: Any
    value: Any = field(repr=False)
    schema: Any


@dataclass(frozen=True, slots=True)
class CheckedFault:
    """One mistake, and what is done so that the rest can be checked."""

    mark: Mark
    code: str
    message: str
    path: SettingPath
    """The path of the part that is taken out."""
    stand_in: Node | None = None
    """The part that is put there instead."""


def explain(place: Place, fault: Fault) -> Iterable[CheckedFault]:
    """The findings of one fault in the tree at `place`; an empty message means that it was reported before."""
    return EXPLANATIONS.get(fault.keyword, _wrong_value)(place, fault)


def _unknown_setting(place: Place, fault: Fault) -> Iterator[CheckedFault]:
    known = fault.schema["properties"]
    here = place.at(*fault.path)
    for name in fault.value:
        if name in known:
            continue
        below = here.child(name)
        mark = below.holder if below else here.mark
        if fault.schema["title"] == "GroupSpec" and name in OTHER_GROUPS:
            yield CheckedFault(mark, "not-supported-yet", f"`{name}` {OTHER_GROUPS[name]}", (*fault.path, name))
            continue
        yield unknown_setting(mark, name, known, (*fault.path, name))


def unknown_setting(mark: Mark, name: str, known: Iterable[str], path: SettingPath) -> CheckedFault:
    """The finding for a name that is no setting, at its key."""
    if name in LATER:
        return CheckedFault(mark, "not-supported-yet", f"`{name}` is not supported by this version; leave it out", path)
    return _checked(mark, faults.unknown_setting(name, known, _meant_setting(name, known)), path)


def _checked(mark: Mark, fault: SettingFault, path: SettingPath) -> CheckedFault:
    return CheckedFault(mark, fault.code, fault.message, path)


def _meant_setting(name: str, known: Iterable[str]) -> str:
    """The setting that other software calls `name`; empty when none is known."""
    setting, shown = MEANT.get(name.casefold(), ("", ""))
    return f"; write `{shown or setting}`" if setting and setting in known else ""


def _missing_setting(place: Place, fault: Fault) -> Iterator[CheckedFault]:
    here = place.at(*fault.path)
    lost = here.node.lost if isinstance(here.node, MappingNode) else frozenset()
    for name in fault.expected:
        if name not in fault.value:
            others = OTHER_GROUPS.keys() if fault.schema["title"] == "GroupSpec" else ()
            is_reported = name in lost or not LATER.union(others).isdisjoint(fault.value)
            missing = faults.missing_setting(name)
            message = "" if is_reported else missing.message
            stand_in = STAND_INS.get((fault.schema["title"], name))
            if stand_in is None:
                yield CheckedFault(here.holder, missing.code, message, fault.path)
                continue
            yield CheckedFault(here.holder, missing.code, message, (*fault.path, name), located(stand_in, here.holder))


def _wrong_type(place: Place, fault: Fault) -> Iterator[CheckedFault]:
    here = place.at(*fault.path)
    expected = _expected(fault.schema) or faults.TYPE_WORDS[fault.expected]
    wrong = faults.wrong_type(expected, _found(here.node, here), _hint(here.node, fault))
    yield _checked(here.mark, wrong, fault.path)


def _found(node: Node, place: Place) -> str:
    if isinstance(node, ScalarNode):
        if isinstance(node.value, str) and not node.is_secret:
            return f"the text {place.shown}"
        if node.value is None and not node.is_secret:
            return "nothing"
    return place.shown


def _expected(schema: Mapping[str, Any]) -> str:
    """A description of values of this schema, with an example; empty when the schema has no title for it."""
    if "title" not in schema or schema.get("type") == "object":
        return ""
    noun = schema["title"]
    article = "" if noun.endswith("bytes") else "an " if noun[0] in "aeiouA" else "a "
    example = f" such as `{schema['examples'][0]}`" if "examples" in schema else ""
    return f"{article}{noun}{example}"


def _hint(node: Node, fault: Fault) -> str:
    if isinstance(node, SequenceNode) and fault.schema.get("title") == "GroupSpec":
        return "; write the peers as `all: […]`"
    if isinstance(node, MappingNode) and fault.expected == "array" and node.entries:
        return faults.AS_LIST
    if not isinstance(node, ScalarNode) or node.is_secret or node.value is None:
        return ""
    match fault.expected:
        case "integer" | "number" if hint := faults.number_hint(node.text):
            return hint
        case "boolean":
            return faults.yes_no_hint(node.text)
        case "integer" if fault.schema.get("title") == "PDU length" and SIZE.fullmatch(node.text):
            return f"; it is in bytes, without a unit{faults.meant(str(size_bytes(node.text)))}"
        case "object" if fault.schema.get("title") in SHORT_FORMS and isinstance(node.value, str):
            setting = SHORT_FORMS[fault.schema["title"]]
            if setting == "subject_alternative_name" and FINGERPRINT.fullmatch(node.text):
                setting = "fingerprint"
            return faults.meant(f"{{{setting}: {node.written}}}")
        case "array" if "$ref" not in fault.schema["items"]:
            text = node.written.strip()
            parts = WORDS.findall(text) if re.fullmatch(rf"{WORDS.pattern}([,\s]+{WORDS.pattern})+", text) else [text]
            return faults.meant(f"[{', '.join(parts)}]")
        case "object":
            return _as_mapping(node, fault.schema)
    return ""


def _as_mapping(node: ScalarNode, schema: Mapping[str, Any]) -> str:
    """The form of these settings, for a place where one value stands."""
    if isinstance(node.value, str):
        if place := TITLE_AT_PLACE.fullmatch(node.text):
            return faults.meant(f"{{ae_title: {place[1]}, address: {place[2]}}}")
        if re.match(r"[A-Za-z_]\w*:\S", node.text):
            return "; a space is missing after `:`"
    return faults.as_mapping(schema.get("properties", ()))


def _not_one_of(place: Place, fault: Fault) -> Iterator[CheckedFault]:
    here = place.at(*fault.path)
    words = [str(word) for word in fault.expected]
    text = here.node.text if isinstance(here.node, ScalarNode) and not here.node.is_secret else ""
    wrong = faults.not_one_of(words, here.shown, text if WORD.fullmatch(text) else "")
    yield _checked(here.mark, wrong, fault.path)


def _bad_format(place: Place, fault: Fault) -> Iterator[CheckedFault]:
    here = place.at(*fault.path)
    title = fault.schema.get("title", "")
    if title in ("AE title", "AE title or template"):
        yield CheckedFault(here.mark, "bad-ae-title", without_secrets(_ae_title_fault(fault.value), here), fault.path)
        return
    is_secret = isinstance(here.node, ScalarNode) and here.node.is_secret
    if title == "address" and not is_secret and _is_place(place.at(*fault.path[:-1], "ae_title").node):
        wrong = faults.bad_format(_expected(fault.schema), here.shown, "; are `ae_title` and `address` swapped?")
        yield _checked(here.mark, wrong, fault.path)
        return
    near = "" if is_secret else _nearest_format(title, str(fault.value), fault.schema["examples"][0])
    yield _checked(here.mark, faults.bad_format(_expected(fault.schema), here.shown, near), fault.path)


def _is_place(node: Node) -> bool:
    """True for an IP address or the name of a host, as nobody has for an AE title."""
    return isinstance(node, ScalarNode) and bool(re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+(:[0-9]+)?", node.text))


def _ae_title_fault(text: str) -> str:
    try:
        ae_title(text)
    except ValueError as error:
        return str(error)
    return "an AE title has 1 to 16 printable ASCII characters without backslash"


def _nearest_format(title: str, text: str, example: str) -> str:
    near = ""
    if title == "duration":
        near = _with_unit(text, DURATION_UNITS)
    if title == "size":
        if re.fullmatch(r"[0-9.]+", text):
            return f"; the unit is missing: {listed(unit for unit in BYTES if unit != 'KB')}"
        near = _with_unit(text, SIZE_UNITS)
    if title == "address" and re.fullmatch(r"[a-z]+://[^\s/]+/?", text):
        near = text.partition("://")[2].rstrip("/")
    if title == "address" and re.fullmatch(r"[^\s:\[\]/]+", text) and not text.isdigit():
        near = f"{text}:{example.rpartition(':')[2]}"
    if title == "address" and re.fullmatch(r"[0-9A-Fa-f:]*:[0-9A-Fa-f:]*:[0-9]{2,5}", text):
        host, _, port = text.rpartition(":")
        near = f"[{host}]:{port}"
    return faults.meant(near) if near else ""


def _with_unit(text: str, units: Mapping[str, str]) -> str:
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)", text)
    unit = units.get(match[2].casefold(), "") if match else ""
    return f"{match[1]} {unit}" if match and unit else ""


def _out_of_range(place: Place, fault: Fault) -> Iterator[CheckedFault]:
    here = place.at(*fault.path)
    low, high = fault.schema.get("minimum"), fault.schema.get("maximum")
    yield _checked(here.mark, faults.out_of_range(f"a number from {low} to {high}", here.shown), fault.path)


def _empty(place: Place, fault: Fault) -> Iterator[CheckedFault]:
    here = place.at(*fault.path)
    what = "list" if fault.keyword == "minItems" else "text"
    yield _checked(here.mark, faults.empty(what), fault.path)


def _in_no_form(place: Place, fault: Fault) -> Iterator[CheckedFault]:
    """A text or a list of texts was expected: what is wrong in the form that was meant."""
    from jsonschema import Draft202012Validator  # as in `gateway.config.typed_tree`

    here = place.at(*fault.path)
    form = _meant(fault)
    if form is None:
        wrong = faults.wrong_type("a text or a list of texts", _found(here.node, here))
        yield _checked(here.mark, wrong, fault.path)
        return
    for error in Draft202012Validator(form).iter_errors(fault.value):
        path = (*fault.path, *error.absolute_path)
        inner = Fault(path, str(error.validator), error.validator_value, error.instance, error.schema)
        yield from explain(place, inner)


def _meant(fault: Fault) -> Mapping[str, Any] | None:
    kind = "array" if isinstance(fault.value, list) else "string" if isinstance(fault.value, str) else ""
    return next((form for form in fault.expected if form.get("type") == kind), None)


def _wrong_value(place: Place, fault: Fault) -> Iterator[CheckedFault]:
    here = place.at(*fault.path)
    yield CheckedFault(
        here.mark, "wrong-value", f"{here.shown} does not hold to `{fault.keyword}` of the schema", fault.path
    )


EXPLANATIONS: Mapping[str, Callable[[Place, Fault], Iterable[CheckedFault]]] = {
    "additionalProperties": _unknown_setting,
    "required": _missing_setting,
    "type": _wrong_type,
    "enum": _not_one_of,
    "pattern": _bad_format,
    "minimum": _out_of_range,
    "maximum": _out_of_range,
    "minLength": _empty,
    "minItems": _empty,
    "anyOf": _in_no_form,
}
"""JSON Schema keyword → the fault that it is."""

DURATION_UNITS = {
    "": "s",
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("m", "mins", "minute", "minutes"), "min"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("day", "days"), "d"),
    **dict.fromkeys(("msec", "millisecond", "milliseconds"), "ms"),
}
SIZE_UNITS = {
    "b": "B",
    **{prefix.casefold(): f"{prefix}B" for prefix in ("k", "M", "G", "T")},
    **{f"{prefix}i".casefold(): f"{prefix}iB" for prefix in ("K", "M", "G", "T")},
    **{f"{prefix}b".casefold(): f"{prefix}B" for prefix in ("k", "M", "G", "T")},
    **{f"{prefix}ib".casefold(): f"{prefix}iB" for prefix in ("K", "M", "G", "T")},
}
"""Units that users write → the unit that they mean."""
