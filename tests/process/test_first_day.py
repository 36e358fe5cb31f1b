"""A site's first day: `gateway init` asks, `gateway run` runs what it wrote, and an object reaches the archive."""

from __future__ import annotations

import asyncio
import os
import pty
import sys
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.gateway_process import GatewayProcess
from tests.support.peers import StoreSCP, echoscu, read_part10, storescu
from tests.support.processes import REPOSITORY, Finished, free_port, run

GATEWAY = [sys.executable, "-m", "gateway"]
END_OF_FILE = "\x04"
"""Ctrl-D."""
PYTHON_PATH = {"PYTHONPATH": str(REPOSITORY)}


async def gateway(*words: str, folder: Path) -> Finished:
    """A command of its own, in `folder`."""
    return await run([*GATEWAY, *words], folder=folder, environment=PYTHON_PATH)


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, controller: int) -> None:
        self._controller = controller
        self.shown = ""

    async def until(self, text: str) -> None:
        """Read until `text` was shown after what was awaited before."""
        while text not in self.shown:
            piece = await asyncio.to_thread(self._read)
            assert piece, f"{text!r} was not shown: {self.shown}"
            self.shown += piece
        self.shown = self.shown.partition(text)[2]

    def _read(self) -> str:
        try:
            return os.read(self._controller, 4096).decode()
        except OSError:  # the program has ended
            return ""

    def type(self, line: str) -> None:
        os.write(self._controller, line.encode() if line == END_OF_FILE else f"{line}\n".encode())


@contextmanager
def terminal() -> Iterator[tuple[Terminal, int]]:
    """The terminal, and the descriptor that a program gets as its input and output."""
    controller, program = pty.openpty()
    try:
        yield Terminal(controller), program
    finally:
        os.close(controller)


async def asked(folder: Path, words: list[str], script: list[tuple[str, str]]) -> tuple[int, str]:
    """Exit code, and what was shown after the last answer. `script`: what is shown, what is typed then."""
    with terminal() as (screen, program):
        environment = {**os.environ, **PYTHON_PATH, "COLUMNS": "200"}
        process = await asyncio.create_subprocess_exec(
            *GATEWAY, "init", *words, cwd=folder, env=environment, stdin=program, stdout=program, stderr=program
        )
        os.close(program)
        try:
            for question, answer in script:
                await screen.until(question)
                screen.type(answer)
            while piece := await asyncio.to_thread(screen._read):
                screen.shown += piece
            return await process.wait(), screen.shown.replace("\r\n", "\n")
        finally:
            if process.returncode is None:
                process.kill()


async def test_it_asks_until_each_answer_is_right(tmp_path: Path) -> None:
    script = [
        ("AE title of the gateway", "A TITLE THAT IS FAR TOO LONG"),
        ("at most 16 characters", ""),
        ("Address to listen on", "everywhere"),
        ("is not a numeric address", "127.0.0.1"),
        ("Port to listen on", "70000"),
        ("from 1 to 65535", "11104"),
        ("AE title of the archive", "GATEWAY"),
        ("AE title of the gateway already", "PACS"),
        ("IP address of the archive", "pacs.example.org:104"),
        ("holds a port", "127.0.0.1"),
        ("Port of the archive", "11104"),
        ("is the gateway itself", "104"),
        ("AE title of the modality", "CT\\1"),
        ("backslash", "CT1"),
        ("from which the modality calls", "ct1.example.org"),
        ("Names are not looked up", "10.1.0.7"),
    ]
    code, shown = await asked(tmp_path, [], script)
    assert code == 0
    assert "written: rules/site.yaml" in shown
    assert (await gateway("validate", "--strict", folder=tmp_path)).returncode == 0
    text = (tmp_path / "rules" / "site.yaml").read_text()
    for line in ("ae_title: GATEWAY", "port: 11104", "ae_title: PACS", "127.0.0.1:104", "hosts: [10.1.0.7]"):
        assert line in text


@pytest.mark.quick
async def test_what_options_say_is_not_asked(tmp_path: Path) -> None:
    words = ["site", "--ae-title", "GW", "--address", "127.0.0.1", "--port", "104", "--archive-ae-title", "PACS"]
    script = [
        ("IP address of the archive", "10.1.0.2"),
        ("Port of the archive", "104"),
        ("AE title of the modality", "CT1"),
    ]
    code, _ = await asked(tmp_path, words, [*script, ("the modality calls", "10.1.0.7")])
    assert code == 0
    assert "ae_title: GW" in (tmp_path / "site" / "site.yaml").read_text()


async def test_nothing_is_written_when_it_is_given_up(tmp_path: Path) -> None:
    code, shown = await asked(tmp_path, [], [("AE title of the gateway", "GW"), ("Address to listen on", END_OF_FILE)])
    assert code == 1
    assert "Aborted" in shown
    assert list(tmp_path.iterdir()) == []


class WrittenSite(GatewayProcess):
    """Runs the rules that `gateway init` wrote, in the folder in which it did."""

    def __init__(self, folder: Path, port: int, http_port: int) -> None:
        super().__init__(folder, {}, port=port)
        self.http_port = http_port

    def write_rules(self, rules: Mapping[str, object] | str) -> None:
        """They are there."""

    def environment(self) -> dict[str, str]:
        return {**super().environment(), **PYTHON_PATH}


@pytest.mark.peers
async def test_what_was_written_runs_and_delivers(
    running: AsyncExitStack, tmp_path: Path, corpus: tuple[Path, ...]
) -> None:
    image = next(path for path in corpus if path.name == "CT_small.dcm")
    archive = await running.enter_async_context(StoreSCP(tmp_path / "archive", ae_title="PACS"))
    port, http_port = free_port(), free_port()
    words = f"--port {port} --address 127.0.0.1 --archive-ae-title PACS --archive-host localhost"
    words += f" --archive-port {archive.port} --modality-ae-title CT1 --modality-host 127.0.0.1"
    words += f" --http 127.0.0.1:{http_port} --data {tmp_path}/var"
    done = await gateway("init", *words.split(), folder=tmp_path)
    assert done.returncode == 0, done.output
    checked = await gateway("validate", "--strict", folder=tmp_path)
    assert (checked.returncode, checked.output) == (0, "rules: no problems\n")

    site = await running.enter_async_context(WrittenSite(tmp_path, port, http_port))
    shown = next(line for line in done.output.splitlines() if f"gateway echo 127.0.0.1:{port}" in line)
    answer = await gateway(*shown.partition("#")[0].split()[1:], folder=tmp_path)
    assert answer.returncode == 0, answer.output
    assert (await gateway("echo", "archive", folder=tmp_path)).returncode == 0
    assert (await echoscu(port, calling="CT1")).returncode == 0
    assert (await echoscu(port, calling="STRANGER")).returncode != 0

    assert (await storescu(port, [image], calling="CT1")).returncode == 0
    [file] = await archive.received(1)
    assert read_part10(file).sop_instance_uid == read_part10(image).sop_instance_uid
    await site.idle()
