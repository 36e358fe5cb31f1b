"""The context of every compiling function: where problems go, and the folder for relative paths."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gateway.common import setting_faults as faults
from gateway.common.quantity import duration_s
from gateway.common.setting_faults import SettingFault
from gateway.config.findings import Findings
from gateway.config.tree import Place, ScalarNode, Step, without_secrets
from gateway.ports.kinds import Predicate, Resources

if TYPE_CHECKING:
    from gateway.routing.language.resources import FileResources

Resolve = Callable[[str], str]
"""Word → UID; raises ValueError with the reason."""


class DoubtsConditions(Protocol):
    """Warns of conditions that cannot hold (`gateway.config.never`)."""

    def warn(self, condition: Predicate, place: Place, context: Context) -> None: ...


@dataclass(frozen=True, slots=True)
class Context:
    """Passed down while one configuration is compiled."""

    findings: Findings
    working_folder: Path
    is_complete: bool
    """False when a file could not be read: then an unknown name or a missing section proves nothing."""
    files: FileResources | None = None
    """The source of `resources`; None gives an empty one."""

    listeners: frozenset[str] | None = None
    """Names of our listeners; None when they are not known."""

    identity_methods: frozenset[str] | None = None
    """Names of `user_identities`; None when they are not known."""

    never: DoubtsConditions | None = None
    """Warns of conditions that cannot hold; None where too little is known for it."""

    @property
    def resources(self) -> FileResources:
        """The resources of the configuration; see `resources_at`."""
        from gateway.routing.language.resources import NO_RESOURCES  # all kinds of rules: see `gateway.config.section`

        return self.files or NO_RESOURCES

    def knowing_identity_methods(self, names: Iterable[str]) -> Context:
        """The same, with the names of `user_identities`; they prove nothing unless all files were read."""
        return replace(self, identity_methods=frozenset(names) if self.is_complete else None)

    def warn_of_plain(self, place: Place, what: str) -> None:
        """Warn of a secret that stands in the YAML file; `what` it is."""
        if not (isinstance(place.node, ScalarNode) and place.node.is_secret):
            message = f"the {what} stands in the file; keep it in one of its own, as ${{file:PATH}}"
            self.findings.warning(place.mark, "plain-secret", message)

    def error(self, place: Place, code: str, message: str) -> None:
        """Report a mistake at the value of `place`."""
        self.findings.error(place.mark, code, message)

    def fault(self, place: Place, fault: SettingFault) -> None:
        """Report a fault at the value of `place`."""
        self.findings.error(place.mark, fault.code, fault.message)

    def fault_of_key(self, place: Place, fault: SettingFault) -> None:
        """Report a fault at the key of `place`."""
        self.findings.error(place.holder, fault.code, fault.message)

    def at_work(self, path: str) -> str:
        """`path` against the working folder."""
        return os.path.abspath(self.working_folder / path)

    def beside(self, place: Place, path: str) -> str:
        """`path` against the folder of the YAML file in which `place` stands."""
        return os.path.abspath(Path(place.mark.file).parent / path)

    def unreadable(self, place: Place, reason: str) -> None:
        """Report a file `beside` the YAML file that names it as unreadable."""
        where = "" if place.shown.startswith("`/") else "; it is looked for beside the file that names it"
        self.error(place, "unreadable-file", f"cannot read the file {place.shown}: {reason}{where}")

    def resources_at(self, place: Place) -> Resources:
        """Keys, and files relative to the YAML file in which `place` stands."""
        if self.files is None:
            return self.resources.beside(Path(place.mark.file).absolute().parent)
        return self.files.of_file(place.mark.file)

    def positive_s(self, place: Place, *path: Step, text: str) -> float:
        """A duration of more than 0."""
        seconds = duration_s(text)
        if seconds <= 0:
            self.fault(place.at(*path), faults.out_of_range("more than 0 s", place.at(*path).shown))
        return seconds

    def sop_classes(self, place: Place, words: tuple[str, ...]) -> tuple[str, ...]:
        """UIDs of SOP classes by keyword, name or UID; those that are unknown are reported and left out."""
        from gateway.routing.language.fields import sop_class_uid

        return self._each(place, words, sop_class_uid, "unknown-sop-class")

    def sop_class(self, place: Place, word: str) -> str:
        """The UID of one SOP class; empty after reporting."""
        from gateway.routing.language.fields import sop_class_uid

        return self._uid(place, word, sop_class_uid, "unknown-sop-class")

    def transfer_syntaxes(self, place: Place, words: tuple[str, ...]) -> tuple[str, ...]:
        """UIDs of transfer syntaxes; those that are unknown are reported and left out."""
        from gateway.routing.language.fields import transfer_syntax_uid

        return self._each(place, words, transfer_syntax_uid, "unknown-transfer-syntax")

    def transfer_syntax(self, place: Place, word: str) -> str:
        """The UID of one transfer syntax; empty after reporting."""
        from gateway.routing.language.fields import transfer_syntax_uid

        return self._uid(place, word, transfer_syntax_uid, "unknown-transfer-syntax")

    def _each(self, place: Place, words: tuple[str, ...], resolve: Resolve, code: str) -> tuple[str, ...]:
        uids = (self._uid(place.at(index), word, resolve, code) for index, word in enumerate(words))
        return tuple(dict.fromkeys(uid for uid in uids if uid))

    def _uid(self, place: Place, word: str, resolve: Resolve, code: str) -> str:
        try:
            return resolve(word)
        except ValueError as error:
            self.error(place, code, without_secrets(str(error), place))
            return ""
