"""A server that speaks as much S3 as the gateway asks for, in a thread, and does wrong what a test tells it to."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import re
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from gateway.model.settings import S3Settings

Kind = Literal["freeze", "status", "lose_answer", "truncate", "shorten", "ignore_condition", "break_off"]
PAGE = 3
"""Objects of a page of a listing."""


@dataclass
class Fault:
    """The next `times` requests that fit go wrong.

    freeze: no answer until the server stops. status: that answer. lose_answer: done, and the connection ends in place
    of the answer. truncate: half of the body. shorten: half of the body, and a header that says so.
    ignore_condition: an object is replaced. break_off: the connection ends before anything is done.
    """

    kind: Kind
    method: str = ""
    name: str = ""
    """A part of path and query."""
    times: int = 1_000_000
    status: int = 503
    code: str = "SlowDown"


@dataclass
class FakeS3:
    """Objects of one bucket, by key; `requests` are all that came, as `METHOD path?query`."""

    objects: dict[str, tuple[bytes, datetime]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    """Access key IDs that were used, and `(token)` where there was one."""

    digests: set[str] = field(default_factory=set)
    """The SHA-256 that bodies were said to have."""
    tls: ssl.SSLContext | None = None
    is_deletion_of_nothing_an_error: bool = False

    def __enter__(self) -> Self:
        self._stopped = threading.Event()
        self.lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._connections: set[socket.socket] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *arguments: _Handler(self, *arguments))
        self._server.daemon_threads = True
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def place(self, prefix: str = "north/ct") -> S3Settings:
        """A prefix of its bucket."""
        scheme = "http" if self.tls is None else "https"
        endpoint = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"
        return S3Settings("cluster", endpoint, prefix, access_key_id="gateway", secret_access_key="hush-hush")

    def fault(self, request: str) -> Fault | None:
        with self.lock:
            self.requests.append(request)
            method = request.partition(" ")[0]
            for fault in self.faults:
                if fault.times and fault.method in ("", method) and fault.name in request:
                    fault.times -= 1
                    return fault
        return None

    def await_end(self) -> None:
        self._stopped.wait()

    def opened(self, connection: socket.socket) -> None:
        self._connections.add(connection)

    def closed(self, connection: socket.socket) -> None:
        self._connections.discard(connection)

    def upload_id(self) -> str:
        return f"upload-{next(self._numbers)}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, store: FakeS3, *arguments: Any) -> None:
        self._store = store
        super().__init__(*arguments)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def setup(self) -> None:
        super().setup()
        self._store.opened(self.connection)

    def finish(self) -> None:
        self._store.closed(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            super().handle()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        authorization = self.headers.get("Authorization", "")
        self._store.keys |= set(re.findall(r"Credential=(\w+)/", authorization))
        self._store.digests.add(self.headers.get("x-amz-content-sha256", ""))
        if self.headers.get("x-amz-security-token"):
            self._store.keys.add("(token)")
        fault = self._store.fault(f"{self.command} {self.path}")
        self._lost, self._cut = False, ""
        kind = fault.kind if fault else ""
        if kind == "freeze":
            self._store.await_end()
        if kind in ("freeze", "break_off"):
            self.close_connection = True
            return
        if fault and kind == "status":
            self._answer(fault.status, f"<Error><Code>{fault.code}</Code></Error>".encode() if fault.code else b"")
            return
        url = urlsplit(self.path)
        key = unquote(url.path).partition("/")[2].partition("/")[2]
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        self._lost, self._cut = kind == "lose_answer", kind if kind in ("truncate", "shorten") else ""
        with self._store.lock:
            answer = self._method(query)(key, query, body, kind != "ignore_condition")
        answer()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve

    def _method(self, query: dict[str, str]) -> Callable[[str, dict[str, str], bytes, bool], Callable[[], None]]:
        if self.command == "GET":
            return self._list if "list-type" in query else self._get
        if self.command == "PUT":
            return self._part if "uploadId" in query else self._put
        if self.command == "POST":
            return self._begin if "uploads" in query else self._complete
        return self._abort if "uploadId" in query else self._delete

    def _put(self, key: str, query: dict[str, str], body: bytes, is_conditional: bool) -> Callable[[], None]:
        if is_conditional and self.headers.get("If-None-Match") == "*" and key in self._store.objects:
            return lambda: self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        self._store.objects[key] = body, datetime.now(UTC)
        return lambda: self._answer(200, b"", ETag=_etag(body))

    def _begin(self, key: str, query: dict[str, str], body: bytes, is_conditional: bool) -> Callable[[], None]:
        upload = self._store.upload_id()
        self._store.uploads[upload] = {}
        text = f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
        return lambda: self._answer(200, text.encode())

    def _part(self, key: str, query: dict[str, str], body: bytes, is_conditional: bool) -> Callable[[], None]:
        self._store.uploads[query["uploadId"]][int(query["partNumber"])] = body
        return lambda: self._answer(200, b"", ETag=_etag(body))

    def _complete(self, key: str, query: dict[str, str], body: bytes, is_conditional: bool) -> Callable[[], None]:
        parts = self._store.uploads.pop(query["uploadId"], None)
        if parts is None:
            return lambda: self._answer(404, b"<Error><Code>NoSuchUpload</Code></Error>")
        named = [int(number) for number in re.findall(rb"<PartNumber>(\d+)</PartNumber>", body)]
        data = b"".join(parts[number] for number in named)
        self._store.objects[key] = data, datetime.now(UTC)
        text = f"<CompleteMultipartUploadResult><ETag>{_etag(data)}</ETag></CompleteMultipartUploadResult>"
        return lambda: self._answer(200, text.encode())

    def _abort(self, key: str, query: dict[str, str], body: bytes, is_conditional: bool) -> Callable[[], None]:
        self._store.uploads.pop(query["uploadId"], None)
        return lambda: self._answer(204, b"")

    def _delete(self, key: str, query: dict[str, str], body: bytes, is_conditional: bool) -> Callable[[], None]:
        if self._store.objects.pop(key, None) is None and self._store.is_deletion_of_nothing_an_error:
            return lambda: self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        return lambda: self._answer(204, b"")

    def _get(self, key: str, query: dict[str, str], body: bytes, is_conditional: bool) -> Callable[[], None]:
        if key not in self._store.objects:
            return lambda: self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        data, modified_at = self._store.objects[key]
        headers = {"ETag": _etag(data), "Last-Modified": modified_at.strftime("%a, %d %b %Y %H:%M:%S GMT")}
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if found is None:
            return lambda: self._answer(200, data, **headers)
        first, last = int(found[1]), min(int(found[2]), len(data) - 1)
        if first > last:
            return lambda: self._answer(416, b"<Error><Code>InvalidRange</Code></Error>")
        headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
        return lambda: self._answer(206, data[first : last + 1], **headers)

    def _list(self, key: str, query: dict[str, str], body: bytes, is_conditional: bool) -> Callable[[], None]:
        after = query.get("continuation-token", "")
        found = sorted(
            each for each in self._store.objects if each.startswith(query.get("prefix", "")) and each > after
        )
        rows = "".join(
            f"<Contents><Key>{escape(each)}</Key><LastModified>{modified_at:%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"
            f"<ETag>{_etag(data)}</ETag><Size>{len(data)}</Size></Contents>"
            for each in found[:PAGE]
            for data, modified_at in [self._store.objects[each]]
        )
        more = f"<NextContinuationToken>{escape(found[PAGE - 1])}</NextContinuationToken>" if found[PAGE:] else ""
        text = f"<ListBucketResult>{more}{rows}</ListBucketResult>"
        return lambda: self._answer(200, text.encode())

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        if self._lost:
            self.close_connection = True
            return
        cut = self._cut
        sent = body[: len(body) // 2] if cut else body
        self.send_response(status)
        self.send_header("Content-Length", str(len(sent if cut == "shorten" else body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(sent)
        self.close_connection = self.close_connection or cut == "truncate"


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
