"""The ten minutes of README, as a script: what a new user copies works from the first line to the last."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from tests.support.processes import GUARD_S, free_port, until

README = (Path(__file__).parents[2] / "README.md").read_text()
TOUR = README[README.index("## Ten minutes") : README.index("## Commands")]
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TOUR, re.MULTILINE | re.DOTALL)


def script(ports: list[int]) -> str:
    """Each block in its order, the rules into the file that the text names; on free ports, with less room kept."""
    parts = [f"cat > rules/site.yaml <<'YAML'\n{text}YAML\n" if kind == "yaml" else text for kind, text in BLOCKS]
    text = "".join(parts).replace("min_free: 1 GiB", "min_free: 1 MiB")
    for port, own in zip((11112, 11113, 8080), ports, strict=True):
        text = text.replace(str(port), str(own))
    return text


@pytest.mark.peers
@pytest.mark.parametrize("shell", ["sh", "bash"])
async def test_the_tour_runs_in_a_fresh_folder(tmp_path: Path, shell: str) -> None:
    (tmp_path / "tour.sh").write_text(script([free_port() for _ in range(3)]))
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GATEWAY_")}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    process = await asyncio.create_subprocess_exec(
        *(shell, "-eu", "tour.sh"),
        cwd=tmp_path,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(4 * GUARD_S):
            output = (await process.communicate())[0].decode()
        assert process.returncode == 0, output
        assert "as the doctor says: the PACS does not answer yet" in output
        assert "unknown-destination" in output
        assert "refused: the rules in force stay" in output
        delivered = re.findall(r"^(\d) +delivered +(?:pacs|files) ", output, re.MULTILINE)
        assert set(delivered) == {"1", "2", "3", "4"}, output
        assert "gateway_stopped" in (tmp_path / "tour" / "gateway.log").read_text()
        await until(lambda: not is_there(process.pid))  # nothing that it started is left
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
