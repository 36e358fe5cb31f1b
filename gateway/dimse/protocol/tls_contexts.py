"""TLS contexts that are built again when their files change; what cannot be used leaves the former one in force."""

from __future__ import annotations

import hashlib
import ssl
import threading
from collections.abc import Callable, Collection

import structlog

from gateway.certificates import read_pem
from gateway.dimse.protocol.tls import client_context
from gateway.model.security import TLS
from gateway.ports.errors import ConfigurationError

log = structlog.get_logger()


class ReloadedContext:
    """A TLS context and the files that it was built from.

    Args:
        tls: its settings.
        build: makes a context; raises ConfigurationError.

    Raises:
        ConfigurationError: it cannot be built.
    """

    def __init__(self, tls: TLS, build: Callable[[TLS], ssl.SSLContext]) -> None:
        self._tls = tls
        self._build = build
        self._seen = _digest(tls)  # before: a file that changes meanwhile is seen at the next look
        self.current = build(tls)
        """The context for the next connection."""

    @property
    def tls(self) -> TLS:
        """The settings of this context."""
        return self._tls

    def refresh(self, used_by: str) -> bool:
        """Look at the files, and build the context again when their content changed; True when it was. Blocks.

        A file that cannot be used is logged once.
        """
        seen = _digest(self._tls)
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            self.current = self._build(self._tls)
        except ConfigurationError as error:
            log.error(
                "certificate_not_reloaded",
                used_by=used_by,
                reason=str(error),
                advice="the former certificate stays in force; mend the files, they are looked at each minute",
            )
            return False
        log.info("certificate_reloaded", used_by=used_by, files=list(self._tls.files))
        return True


def _digest(tls: TLS) -> bytes:
    """A digest of the content of all files."""
    whole = hashlib.sha256()
    for path in tls.files:
        try:
            content = read_pem(path)
        except (OSError, ValueError) as error:
            content = f"unreadable: {type(error).__name__}".encode()
        whole.update(len(content).to_bytes(8, "big") + content)
    return whole.digest()


class ClientContexts:
    """Contexts for the peers that we call, shared by all associations. `refresh` runs in a thread of its own."""

    def __init__(self) -> None:
        self._contexts: dict[TLS, ReloadedContext] = {}
        self._lock = threading.Lock()

    def get(self, tls: TLS) -> ssl.SSLContext:
        """The context as its files are, or were when they were last good. Raises ConfigurationError."""
        found = self._contexts.get(tls)
        if found is None:
            found = ReloadedContext(tls, client_context)
            with self._lock:
                self._contexts[tls] = found
        return found.current

    def keep(self, wanted: Collection[TLS]) -> None:
        """Forget all others."""
        with self._lock:
            self._contexts = {tls: context for tls, context in self._contexts.items() if tls in wanted}

    def refresh(self, tls: TLS, used_by: str) -> bool:
        """See `ReloadedContext.refresh`; nothing happens where no association needed it yet."""
        found = self._contexts.get(tls)
        return found is not None and found.refresh(used_by)


CLIENT_CONTEXTS = ClientContexts()
"""The TLS contexts of this process."""
