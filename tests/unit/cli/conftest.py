"""Commands set up the log of their process; a test gives it back as it was."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog


@pytest.fixture(autouse=True)
def _the_log_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Loggers that keep their first set-up would keep it for every test behind this one."""
    before, handlers, configure = structlog.get_config(), logging.getLogger().handlers[:], structlog.configure

    def without_cache(**settings: Any) -> None:
        configure(**{**settings, "cache_logger_on_first_use": False})

    monkeypatch.setattr(structlog, "configure", without_cache)
    yield
    configure(**before)
    logging.getLogger().handlers[:] = handlers
