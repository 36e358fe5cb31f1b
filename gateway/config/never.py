"""Conditions that can never hold, though nothing is wrong with how they are written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from gateway.common.setting_faults import did_you_mean
from gateway.config.compile_context import Context
from gateway.config.tree import Place
from gateway.dataset.dictionary import name_of
from gateway.dataset.private import vr_at
from gateway.model.peer import Peer
from gateway.model.problem import SettingPath
from gateway.model.settings import Settings
from gateway.ports import kinds as port_kinds
from gateway.ports.kinds import Predicate
from gateway.routing.language.kind_tree import children, inside
from gateway.routing.language.kinds import name_of_kind
from gateway.routing.predicates.association import CalledAETitle, CallingAETitle
from gateway.routing.predicates.attribute import Attribute
from gateway.routing.predicates.combining import NamedConditionHolds
from gateway.routing.predicates.instance import Modality

FORMS = {
    "DA": (re.compile(r"([0-9]{8})?"), "YYYYMMDD"),
    "TM": (re.compile(r"([0-9]{2}([0-9]{2}([0-9]{2}(\.[0-9]{1,6})?)?)?)?"), "HHMMSS"),
}
"""VR → what its values look like."""

Doubts = list[tuple[SettingPath, str]]
"""(path inside the predicate's value, why it can never be)."""


class Never:
    """Looks through conditions for what cannot be; equal conditions are looked at once."""

    def __init__(self, settings: Settings, peers: Mapping[str, Peer]) -> None:
        self._titles = {peer.ae_title for peer in peers.values() if peer.may and peer.ae_title}
        self._admits_strangers = settings.admit == "any"
        self._called = {settings.ae_title, *settings.called_ae_titles}
        self._known: dict[int, tuple[Predicate, Doubts]] = {}
        """Doubts by identity of the predicate, which is kept so that no other gets its identity."""

    def warn(self, condition: Predicate, place: Place, context: Context) -> None:
        """`place` is where the condition is written. Named conditions are looked at where they stand."""
        if isinstance(condition, NamedConditionHolds) or not self._is_doubtful(condition):
            return
        inner = list(children(condition))
        here = place.at(name_of_kind(condition, port_kinds.predicate))
        for path, message in [] if inner else self._doubts(condition):
            at = here.at(*path)
            context.findings.warning(at.mark, "never-holds", f"{at.shown} can never be: {message}")
        for path, one in inner:
            self.warn(one, here.at(*path), context)

    def _is_doubtful(self, condition: Predicate) -> bool:
        """False for nearly every condition: its places are not looked for then."""
        if isinstance(condition, NamedConditionHolds):
            return False
        inner = inside(condition)
        return any(map(self._is_doubtful, inner)) if inner else bool(self._doubts(condition))

    def _doubts(self, condition: Predicate) -> Doubts:
        if id(condition) not in self._known:
            self._known[id(condition)] = condition, list(self._found(condition))
        return self._known[id(condition)][1]

    def _found(self, condition: Predicate) -> Iterator[tuple[SettingPath, str]]:
        match condition:
            case Modality(any_of=texts):
                yield from _small_letters((), texts, "Modality", more="")
            case CallingAETitle(any_of=titles):
                for index, title in enumerate(titles):
                    if message := self._unknown_caller(title):
                        yield (index,), message
            case CalledAETitle(any_of=titles):
                for index, title in enumerate(titles):
                    if title not in self._called and "*" not in self._called:
                        near = did_you_mean(title, self._called) or f"; ours are {', '.join(sorted(self._called))}"
                        yield (index,), f"who calls a title that is not ours is rejected (`called_ae_titles`){near}"
            case Attribute() if vr_at(condition.select) in FORMS:
                for path, text in _equal_to(condition):
                    form, shown = FORMS[vr_at(condition.select) or ""]
                    if not form.fullmatch(text):
                        digits = re.sub(r"[^0-9.]", "", text)
                        near = f"; write `{digits}`" if form.fullmatch(digits) and digits else ""
                        yield path, f"{name_of(condition.select.tag)} is written as {shown} (PS3.5 §6.2){near}"
            case Attribute() if not condition.ignore_case and vr_at(condition.select) == "CS":
                name = name_of(condition.select.tag)
                if condition.equals is not None:
                    yield from ((("equals",), why) for _path, why in _small_letters((), (condition.equals,), name))
                if condition.in_ is not None and condition.in_.values is not None:
                    yield from _small_letters(("in",), condition.in_.values, name)

    def _unknown_caller(self, title: str) -> str:
        """The reason why no peer calls by this title; empty when one may."""
        if title in self._titles:
            return ""
        if not self._admits_strangers:
            near = did_you_mean(title, self._titles)
            return f"only peers with `may` may call (`admit: known`), and none has this AE title{near}"
        same = next((one for one in self._titles if one.casefold() == title.casefold()), "")
        return f"case matters, and the peer's AE title is `{same}`" if same else ""


def _equal_to(condition: Attribute) -> Iterator[tuple[SettingPath, str]]:
    """The texts that a whole value is compared with."""
    if condition.equals is not None:
        yield ("equals",), condition.equals
    if condition.in_ is not None and condition.in_.values is not None:
        yield from ((("in", index), text) for index, text in enumerate(condition.in_.values))


def _small_letters(
    path: SettingPath, texts: tuple[str, ...], name: str, more: str = ", or add `ignore_case: true`"
) -> Iterator[tuple[SettingPath, str]]:
    for index, text in enumerate(texts):
        if text != text.upper():
            yield (*path, index), f"{name} has no small letters (PS3.5 §6.2, CS); write `{text.upper()}`{more}"
