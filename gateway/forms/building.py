"""Building values from a configuration: what a form of settings does, and what is passed down meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from gateway.common import setting_faults as faults
from gateway.common.setting_faults import SettingFault
from gateway.forms.described import Described
from gateway.model.problem import SettingPath
from gateway.ports.kinds import Resources

ReportProblem = Callable[[SettingPath, str, str], None]
"""(path inside the config value, code, message)."""


class KeyPath(tuple[int | str, ...]):
    """A path of which the last name itself is wrong, not the value that stands there."""

    __slots__ = ()


class _Invalid:
    """Stands for a value whose problem was reported."""


INVALID = _Invalid()


class Spelling(Protocol):
    """The place where values are written, and how they are spelled there."""

    @property
    def keeps_spelling(self) -> bool:
        """True when a number comes as text where it would lose its spelling: ``1.50``, ``1e3``."""
        ...

    def text(self, value: object, path: SettingPath) -> str | None:
        """The text that a scalar is where a text is expected; None for what is no text."""
        ...

    def found(self, value: object, path: SettingPath) -> str:
        """The name of a value in messages that say what kind of value was found."""
        ...

    def shown(self, value: object, path: SettingPath) -> str:
        """The value itself in messages that say what is wrong with it; never a secret."""
        ...

    def is_secret(self, path: SettingPath) -> bool:
        """True when the value is not to be shown: hints must not repeat it either."""
        ...

    def is_lost(self, path: SettingPath) -> bool:
        """True when something was written here, which was wrong and already reported."""
        ...

    def beside(self, path: SettingPath, name: str) -> str:
        """The text of another setting of the same mapping; empty without."""
        ...


def text_or_number(value: object) -> str | None:
    """The text of a scalar setting; None when `value` is no text. Numbers that YAML read are text again."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return None


class PlainValues:
    """Values without a file, or whose file the report knows."""

    keeps_spelling: ClassVar[bool] = True

    def text(self, value: object, _path: SettingPath) -> str | None:
        return text_or_number(value)

    def found(self, value: object, _path: SettingPath) -> str:
        return faults.found(value)

    def shown(self, value: object, _path: SettingPath) -> str:
        return faults.quoted(value) if isinstance(value, str) and value else faults.found(value)

    def is_secret(self, _path: SettingPath) -> bool:
        return False

    def is_lost(self, _path: SettingPath) -> bool:
        return False

    def beside(self, _path: SettingPath, _name: str) -> str:
        return ""


PLAIN_VALUES = PlainValues()


class Repairs:
    """The changes after which the rest of a configuration can be checked."""

    def __init__(self) -> None:
        self.left_out: list[SettingPath] = []
        """Paths of what is wrong: it is taken out."""
        self.stand_ins: list[tuple[SettingPath, Any]] = []
        """Paths of required settings that are wrong or missing, and the plain value that stands there instead."""


class Building:
    """The context in which one value is built: a report that counts, resources, the builder of conditions.

    With `repairs`, what is wrong is left out of its mapping or list, and the rest is built; without, nothing is built
    of a value with a problem in it.
    """

    __slots__ = ("_report", "condition", "count", "repairs", "resources", "spelling")

    def __init__(
        self,
        report: ReportProblem,
        resources: Resources | None = None,
        condition: Callable[[object, SettingPath, Building], Any] | None = None,
        spelling: Spelling = PLAIN_VALUES,
        repairs: Repairs | None = None,
    ) -> None:
        self._report = report
        self.resources = resources
        self.condition = condition
        self.spelling = spelling
        self.repairs = repairs
        self.count = 0
        """Problems that were reported."""

    def problem(self, path: SettingPath, code: str, message: str) -> None:
        self.count += 1
        self._report(path, code, message)

    def fault(self, path: SettingPath, fault: SettingFault) -> None:
        self.problem(path, fault.code, fault.message)

    def hinted(self, value: object, path: SettingPath) -> str:
        """The text of a value that hints may repeat; empty for a secret, and for what is no text."""
        text = self.spelling.text(value, path)
        return "" if text is None or self.spelling.is_secret(path) else text


Build = Callable[[object, SettingPath, Building], Any]
"""One setting's value, or `INVALID` after reporting every problem of it."""


class Form(Protocol):
    """One form of settings."""

    @property
    def about(self) -> Described:
        """The description beside the type."""
        ...

    @property
    def parts(self) -> tuple[Form, ...]:
        """The forms right inside it; those of a dataclass's settings stand in `settings`."""
        ...

    @property
    def takes(self) -> str:
        """The name of its values in documents."""
        ...

    def build(self, value: object, path: SettingPath, building: Building) -> Any:
        """The value of a setting, or `INVALID` after reporting every problem of it."""
        ...

    def schema(self) -> dict[str, Any]:
        """JSON Schema of its values. Raises KeyError or TypeError for a setting of an unknown type."""
        ...
