"""Handlers of a site's own, by reference: ``module:NAME``, for `gateway run --handlers`.

NAME is a list of pynetdicom-style bindings, ``[(evt.EVT_C_FIND, handler[, [arguments]]), …]``, or a function without
arguments that gives one. A handler that is bound there takes its event in place of the gateway's own handler.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pynetdicom import evt

from gateway.dimse.pynetdicom_contract.bindings import is_notification, read_bindings
from gateway.ports.errors import ConfigurationError

RETURNING = (evt.EVT_C_ECHO, evt.EVT_C_STORE)
"""Their handlers return a status; those of the other intervention events yield."""


def site_handlers(reference: str) -> list[tuple[Any, ...]]:
    """The bindings that `reference` names. Modules are looked for in the working folder too, before everywhere else.

    Raises:
        ConfigurationError: no such module or name, the module or the function fails, or what it gives are no bindings.
    """
    module_name, _, name = reference.partition(":")
    if not module_name or not name:
        raise ConfigurationError(f"--handlers {reference!r}: expected module:NAME, as in site_handlers:HANDLERS")
    found = _named(_imported(module_name, reference), name, reference)
    if callable(found):
        try:
            found = found()
        except (Exception, SystemExit) as error:
            text = f"the function fails: {type(error).__name__}: {error}"
            raise ConfigurationError(f"--handlers {reference}: {text}") from error
    return _checked(found, reference)


def _imported(module_name: str, reference: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            text = f"there is no module {module_name}; it is looked for in {here} and in PYTHONPATH"
            raise ConfigurationError(f"--handlers {reference}: {text}") from error
        raise ConfigurationError(f"--handlers {reference}: {module_name} needs a module: {error}") from error
    except (Exception, SystemExit) as error:
        text = f"{module_name} cannot be imported: {type(error).__name__}: {error}"
        raise ConfigurationError(f"--handlers {reference}: {text}") from error


def _named(module: Any, name: str, reference: str) -> Any:
    found = module
    for part in name.split("."):
        if not hasattr(found, part):
            names = [one for one in sorted(vars(module)) if not one.startswith("_")]
            text = f"{module.__name__} has no {name}; it has {', '.join(names) or 'nothing'}"
            raise ConfigurationError(f"--handlers {reference}: {text}")
        found = getattr(found, part)
    return found


def _checked(found: Any, reference: str) -> list[tuple[Any, ...]]:
    shape = "a list of (event, handler) or (event, handler, [arguments])"
    if isinstance(found, str | bytes) or not isinstance(found, Iterable):
        raise ConfigurationError(f"--handlers {reference}: it gives {type(found).__name__}, not {shape}")
    items = list(found)
    if not items:
        raise ConfigurationError(f"--handlers {reference}: it gives an empty list, not {shape}")
    try:
        bindings, notified = read_bindings(items)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"--handlers {reference}: {error}") from error
    if len(bindings) < sum(not is_notification(item[0]) for item in items):
        raise ConfigurationError(f"--handlers {reference}: an event is bound twice, and has one handler")
    found_ones = [(event, one.handler, list(one.arguments)) for event, one in bindings.items()]
    found_ones += [(one.event, one.handler, list(one.arguments)) for one in notified]
    for event, handler, arguments in found_ones:
        text = _objection(event, handler, arguments)
        if text:
            raise ConfigurationError(f"--handlers {reference}: the handler of {event.name} {text}")
    return found_ones


def _objection(event: Any, handler: Any, arguments: Sequence[Any]) -> str:
    """The reason why a handler cannot take its event, as far as it can be seen before it is called; empty when it
    can.
    """
    is_generator = inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler)
    if event in RETURNING and is_generator:
        return "yields; it is to return a status"
    if is_notification(event) and is_generator:
        return "yields; nothing is answered to a notification event, and it would never run"
    try:
        inspect.signature(handler).bind(None, *arguments)
    except TypeError as error:
        return f"cannot be called with the event and {len(arguments)} arguments: {error}"
    except ValueError:
        return ""  # a builtin without a signature
    return ""
