"""A PostgreSQL server and its synchronous standby, on ports of 127.0.0.1; the standby is promoted when the server dies,
and gets a standby of its own."""

from __future__ import annotations

import subprocess
import time

import psycopg

from tests.support.postgresql_server import SUPERUSER, PostgreSQLServer
from tests.support.processes import GUARD_S, POLL_S, free_port

STANDBY = "standby"


class PairedServer(PostgreSQLServer):
    """One of the two. With `source` it is made as a copy of that one, which it follows."""

    def __init__(self, port: int, source: PairedServer | None = None) -> None:
        self.port = port
        self._source = source
        settings = {"port": str(port), "listen_addresses": "127.0.0.1", "fsync": "on", "wal_level": "replica"}
        super().__init__(**settings, max_connections="100", wal_keep_size="256MB", wal_receiver_timeout="20s")

    def address(self, database: str, user: str = SUPERUSER) -> str:
        return f"postgresql://{user}@/{database}?host={self.folder}&port={self.port}"

    def _initialise(self) -> None:
        if self._source is None:
            super()._initialise()
            return
        source = f"host={self._source.folder} port={self._source.port} user={SUPERUSER} application_name={STANDBY}"
        options = ["--wal-method=stream", "--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
        data = self.folder / "data"
        self._run("pg_basebackup", f"--dbname={source}", f"--pgdata={data}", *options)
        with (data / "postgresql.auto.conf").open("a") as settings:
            settings.write("synchronous_standby_names = ''\n")  # when promoted, it waits for nobody until it has one

    def promote(self) -> None:
        """Returns when it takes writes."""
        self._run("pg_ctl", "promote", f"--pgdata={self.folder / 'data'}", f"--timeout={GUARD_S:.0f}")

    def wait_for_standby(self) -> None:
        """From here on each commit is on two machines. Returns when it is so."""
        self.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'")
        self.execute("SELECT pg_reload_conf()")
        deadline = time.monotonic() + GUARD_S
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            while connection.execute("SELECT sync_state FROM pg_stat_replication").fetchall() != [("sync",)]:
                assert time.monotonic() < deadline, "the standby does not follow"
                time.sleep(POLL_S)

    def _run(self, name: str, *options: str) -> None:
        done = subprocess.run(
            [*self._guard, str(self._programs / name), *options],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=2 * GUARD_S,
            cwd=self.folder,
            check=False,
        )
        assert done.returncode == 0, f"{name}: {done.stderr}"


class PostgreSQLPair:
    """Both of them. Their ports stay when the roles change."""

    def __init__(self) -> None:
        self.ports = (free_port(), free_port())
        self.primary = PairedServer(self.ports[0])
        self._standby: PairedServer | None = None

    def start(self) -> None:
        """Returns when each commit is on both."""
        self.primary.start()
        self.follow()

    def follow(self) -> None:
        """Make a standby, and return when each commit is on both."""
        (port,) = {*self.ports} - {self.primary.port}
        standby = PairedServer(port, self.primary)
        self._standby = standby
        standby.start()
        self.primary.wait_for_standby()

    def promote(self) -> None:
        """The standby takes the place of the primary, which is dead and gone; returns when it takes writes."""
        assert self._standby is not None
        self._standby.promote()
        self.primary.stop()
        self.primary, self._standby = self._standby, None

    def stop(self) -> None:
        """End both, and remove all that they wrote."""
        for server in (self._standby, self.primary):
            if server is not None:
                server.stop()
