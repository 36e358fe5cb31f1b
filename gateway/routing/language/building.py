"""Building values from a configuration: what a form of settings does, and what is passed down meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from gateway.common.setting_faults import SettingFault
from gateway.model.problem import SettingPath
from gateway.ports.kinds import Resources

ReportProblem = Callable[[SettingPath, str, str], None]
"""(path inside the config value, code, message)."""


class _Invalid:
    """Stands for a value whose problem was reported."""


INVALID = _Invalid()


class Building:
    """The context in which one kind is built: a report that counts, resources, and the builder of conditions."""

    __slots__ = ("_report", "condition", "count", "resources")

    def __init__(
        self,
        report: ReportProblem,
        resources: Resources,
        condition: Callable[[object, SettingPath, Building], Any],
    ) -> None:
        self._report = report
        self.resources = resources
        self.condition = condition
        self.count = 0
        """Problems that were reported."""

    def problem(self, path: SettingPath, code: str, message: str) -> None:
        self.count += 1
        self._report(path, code, message)

    def fault(self, path: SettingPath, fault: SettingFault) -> None:
        self.problem(path, fault.code, fault.message)


Build = Callable[[object, SettingPath, Building], Any]
"""One setting's value, or `INVALID` after reporting every problem of it."""


class Form(Protocol):
    """One form of settings."""

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
