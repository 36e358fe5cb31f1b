"""An object store in a bucket of S3, or of a server that speaks S3.

Small objects are written by one conditional PUT (`If-None-Match: *`). Larger ones go in parts, which the library
cannot make conditional: a look before shows whether the name is free, and writers give names that no other one gives.

A request ends within `answer_s`, and is tried again within `retry_s`: a server that is frozen costs eight seconds, and
as much again where it freezes in the middle of an upload, since its parts are given back. A stream is read by requests
of its own ranges, so that a slow reader keeps no connection.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from gateway.common.buffer import Buffer
from gateway.model.settings import S3Settings
from gateway.objects import start_check
from gateway.objects.errors import ObjectStoreRefuses
from gateway.objects.existing import accept_the_same
from gateway.objects.naming import checked, exactly, folder_of, is_name
from gateway.objects.s3_errors import StoreOperation, code_of, refusal
from gateway.ports.errors import ConfigurationError, PayloadMissing, SpoolFull, Temporary
from gateway.ports.object_store import StoredObject

if TYPE_CHECKING:
    from obstore.store import S3Config, S3Credential

SMALLEST_PART_BYTES = 5 * 1024**2
"""S3 takes no smaller part but the last."""
MOST_PARTS = 9_000
"""S3 takes 10 000."""
PARTS_AT_A_TIME = 2
RANGE_BYTES = 4 * 1024**2
"""A stream is read by requests of about so many."""
PAGE = 1000
FAULTS = (BaseError, FileNotFoundError)


@dataclass(frozen=True, slots=True)
class S3Limits:
    """Bounds on requests."""

    connect_s: float = 3.0
    answer_s: float = 8.0
    """From the beginning of a request to the end of its answer."""
    idle_s: float = 20.0
    """A connection that is not used is closed before a balancer does it in silence."""
    retry_s: float = 5.0
    """A request that fails is tried again until so long after its beginning."""
    retries: int = 5
    """After 0.1 s, then after twice the last pause, up to a second."""
    requests: int = 16
    """At a time; others wait for up to `answer_s`."""
    uploads: int = 16
    """Objects that are written in parts at a time, each for as long as its bytes come; beside `requests`."""


class S3ObjectStore:
    """See `gateway.ports.object_store.ObjectStore`. Raises ConfigurationError when the settings cannot be used."""

    large_bytes = SMALLEST_PART_BYTES + 1

    def __init__(self, settings: S3Settings, limits: S3Limits | None = None) -> None:
        self.shown = f"S3 {'/'.join(filter(None, (settings.endpoint, settings.bucket, settings.prefix)))}"
        self._limits = limits or S3Limits()
        try:
            self._store = _opened(settings, self._limits)
        except (BaseError, ValueError) as error:  # the library reads AWS_… of the environment too
            reason = str(error).partition("\n")[0]
            remedy = "correct `gateway.store.objects`, or the variables AWS_… of the environment"
            raise ConfigurationError(f"{self.shown}: cannot be used: {reason}; {remedy}") from error
        self._requests = threading.BoundedSemaphore(self._limits.requests)
        self._uploads = threading.BoundedSemaphore(self._limits.uploads)

    def check(self, cluster_id: str, version: str) -> None:
        """See `ObjectStore.check`."""
        start_check.check(self, cluster_id, version)

    # --- writing -----------------------------------------------------------------------------------------------------

    def put(self, name: str, chunks: Iterable[Buffer], length_bytes: int, part_bytes: int = 0) -> None:
        """See `ObjectStore.put`."""
        checked(name)
        if length_bytes > SMALLEST_PART_BYTES:
            self._put_in_parts(name, exactly(chunks, length_bytes), length_bytes, part_bytes)
            return
        data = b"".join(exactly(chunks, length_bytes))
        if not self._create_again(name, data):
            accept_the_same(self, name, [data], length_bytes)

    def _create_again(self, name: str, data: bytes) -> bool:
        """`create`, tried once more after an answer that was lost: the library does not do so where it may have been
        a success."""
        begun_s = time.monotonic()
        try:
            return self.create(name, data)
        except ObjectStoreRefuses:
            raise
        except SpoolFull:
            if time.monotonic() - begun_s > self._limits.retry_s:
                raise
        return self.create(name, data)

    def create(self, name: str, data: bytes) -> bool:
        """True when the object was made; False when there is one of that name. Raises SpoolFull."""
        with self._request("write", name):
            try:
                obstore.put(self._store, name, data, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
        return True

    def _put_in_parts(self, name: str, chunks: Iterator[Buffer], length_bytes: int, wanted_bytes: int = 0) -> None:
        if self._is_there(name):
            accept_the_same(self, name, chunks, length_bytes)
            return
        part_bytes = max(SMALLEST_PART_BYTES, wanted_bytes, -(-length_bytes // MOST_PARTS))
        at_a_time = 1 if wanted_bytes else PARTS_AT_A_TIME
        with self._faults("write", name, self._uploads):
            obstore.put(self._store, name, chunks, use_multipart=True, chunk_size=part_bytes, max_concurrency=at_a_time)

    def _is_there(self, name: str) -> bool:
        try:
            self.length_of(name)
        except PayloadMissing:
            return False
        return True

    def delete(self, names: Sequence[str]) -> None:
        """See `ObjectStore.delete`."""
        for name in names:
            checked(name)
        if names and not self._delete(names):
            for name in names:
                self._delete([name])

    def _delete(self, names: Sequence[str]) -> bool:
        """False when the server ended at an object that is not there: Google's does, Amazon's does not."""
        with self._request("delete", names[0]):
            try:
                obstore.delete(self._store, list(names))
            except FileNotFoundError as error:
                if code_of(str(error)) != "NoSuchKey":
                    raise
                return False
        return True

    # --- reading -----------------------------------------------------------------------------------------------------

    def read(self, name: str, offset_bytes: int, length_bytes: int) -> bytes:
        """See `ObjectStore.read`."""
        checked(name)
        if not length_bytes:
            self._require(name, self.length_of(name), offset_bytes)
            return b""
        end_bytes = offset_bytes + length_bytes
        with self._request("read", name):
            found = obstore.get(self._store, name, options={"range": (offset_bytes, end_bytes)})
            data: bytes = found.bytes().to_bytes()
        self._require(name, found.meta["size"], end_bytes)
        if len(data) != length_bytes or found.range != (offset_bytes, end_bytes):
            raise Temporary(f"{self.shown}: cannot read {name}: other bytes came than were asked for; see its log")
        return data

    def _require(self, name: str, found_bytes: int, end_bytes: int) -> None:
        if found_bytes < end_bytes:
            reason = f"{end_bytes - found_bytes} bytes are missing at its end; restore it, or discard what it held"
            raise PayloadMissing(f"{self.shown}: cannot read {name}: {reason}")

    def length_of(self, name: str) -> int:
        """In bytes. Raises PayloadMissing, Temporary."""
        with self._request("read", checked(name)):  # no HEAD: its 404 does not say what is missing, object or bucket
            length_bytes: int = obstore.get(self._store, name).meta["size"]
        return length_bytes

    def stream(self, name: str, offset_bytes: int, length_bytes: int, chunk_bytes: int) -> Iterator[bytes]:
        """See `ObjectStore.stream`."""
        if not length_bytes:
            self.read(name, offset_bytes, 0)
        end_bytes = offset_bytes + length_bytes
        whole_bytes = max(1, RANGE_BYTES // chunk_bytes) * chunk_bytes
        for start in range(offset_bytes, end_bytes, whole_bytes):
            data = self.read(name, start, min(whole_bytes, end_bytes - start))
            for at in range(0, len(data), chunk_bytes):
                yield data[at : at + chunk_bytes]

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """See `ObjectStore.list`."""
        folder = folder_of(prefix)
        with self._request("list", prefix):
            pages = obstore.list(self._store, folder or None, chunk_size=PAGE)
        while True:
            with self._request("list", prefix):
                page = next(pages, None)
            if page is None:
                return
            for each in page:
                if each["path"].startswith(prefix) and is_name(each["path"]):
                    yield StoredObject(each["path"], each["size"], each["last_modified"])

    def close(self) -> None:
        """Connections close themselves when they are idle."""

    def _request(self, operation: StoreOperation, name: str) -> contextlib.AbstractContextManager[None]:
        """One request among those that may run."""
        return self._faults(operation, name, self._requests)

    @contextlib.contextmanager
    def _faults(self, operation: StoreOperation, name: str, slots: threading.Semaphore) -> Iterator[None]:
        """Raises Temporary, of which SpoolFull and PayloadMissing are."""
        if not slots.acquire(timeout=self._limits.answer_s):
            reason = "too many requests wait for it already; is it overloaded?"
            raise SpoolFull(f"{self.shown}: cannot {operation} {name}: {reason}")
        try:
            yield
        except FAULTS as error:
            raise refusal(error, self.shown, operation, name) from None
        finally:
            slots.release()


def _opened(settings: S3Settings, limits: S3Limits) -> S3Store:
    config: S3Config = {
        "region": settings.region,
        "virtual_hosted_style_request": not settings.endpoint,
        "skip_signature": False,
        "conditional_put": "etag",
        "unsigned_payload": False,  # the server compares the SHA-256 of what it stores
        "disable_bulk_delete": True,  # not every server knows it; ten single ones go at a time
    }
    if settings.endpoint:  # the first one is stronger, and may stand in the environment
        config |= {"aws_endpoint_url_s3": settings.endpoint, "endpoint": settings.endpoint}
    keys: S3Credential = {
        "access_key_id": settings.access_key_id,
        "secret_access_key": settings.secret_access_key,
        "token": None,
        "expires_at": None,
    }
    return S3Store(
        settings.bucket,
        prefix=settings.prefix or None,
        config=config,
        client_options={
            "allow_http": settings.endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=limits.connect_s),
            "timeout": timedelta(seconds=limits.answer_s),
            "pool_idle_timeout": timedelta(seconds=limits.idle_s),
        },
        retry_config={
            "max_retries": limits.retries,
            "retry_timeout": timedelta(seconds=limits.retry_s),
            "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=1), "base": 2},
        },
        credential_provider=(lambda: keys) if settings.access_key_id else None,  # no token of the environment
    )
