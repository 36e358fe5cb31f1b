"""Where the implementations of others are, and the commands that run them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.processes import Finished, run

HERE = Path(__file__).parent
SYSTEM_PYTHON = "/usr/bin/python3"
"""For Debian's packages of Python modules."""
JARS = [
    Path("/usr/share/java") / name
    for name in ("pixelmed.jar", "slf4j-nop.jar", "slf4j-api.jar", "commons-codec.jar", "vecmath.jar")
]
PIXELMED = ["java", "-Xmx256m", "-cp", os.pathsep.join(map(str, JARS))]
DCMJS = "DCMJS_DIMSE"
"""Environment variable: the folder of the npm package dcmjs-dimse; it is looked for as a module otherwise."""
PYNETDICOM_2 = "PYNETDICOM_2"
"""Environment variable: the Python of an environment with pynetdicom 2."""


def missing() -> dict[str, str]:
    """Implementation → how to get it, of those that are not installed."""
    found = {
        "CTN": shutil.which("simple_storage"),
        "odil": shutil.which("odil"),
        "PixelMed": shutil.which("java") and JARS[0].exists(),
        "dcmjs-dimse": _has_dcmjs(),
        "pynetdicom 2": os.environ.get(PYNETDICOM_2),
    }
    advice = {
        "CTN": "apt-get install ctn",
        "odil": "apt-get install odil",
        "PixelMed": "apt-get install libpixelmed-java default-jre-headless",
        "dcmjs-dimse": f"npm install dcmjs-dimse, and {DCMJS}=FOLDER/node_modules/dcmjs-dimse",
        "pynetdicom 2": f"an environment with 'pynetdicom<3', and {PYNETDICOM_2}=ENVIRONMENT/bin/python",
    }
    return {name: advice[name] for name, is_there in found.items() if not is_there}


def _has_dcmjs() -> bool:
    if shutil.which("node") is None:
        return False
    probe = "require(process.env.DCMJS_DIMSE || 'dcmjs-dimse')"
    return subprocess.run(["node", "-e", probe], capture_output=True, check=False).returncode == 0


def receiver_command(name: str, port: int, ae_title: str, folder: Path) -> list[str]:
    """A storage SCP that keeps what it takes below `folder`, with the implementation's default settings.

    CTN's ends with a connection that brings no association, and is started again.
    """
    place = str(folder)
    pynetdicom = ["-m", "pynetdicom", "storescp", str(port), "-aet", ae_title, "-od", place, "-q"]
    commands = {
        "CTN": ["sh", "-c", "cd $1 && while :; do simple_storage -s -c $0 -x $1 $2; done", ae_title, place, str(port)],
        "odil": [SYSTEM_PYTHON, str(HERE / "odil_scp.py"), str(port), place],
        "PixelMed": [*PIXELMED, "com.pixelmed.network.StorageSOPClassSCPDispatcher", str(port), ae_title, place],
        "dcmjs-dimse": ["node", str(HERE / "dcmjs.cjs"), "scp", str(port), place],
        "pynetdicom 2": [os.environ.get(PYNETDICOM_2, ""), *pynetdicom],
        "pynetdicom 3": [sys.executable, *pynetdicom],
        "storescp": ["/usr/bin/storescp", "-aet", ae_title, "-od", place, str(port)],
        "storescp +xi": ["/usr/bin/storescp", "+xi", "-aet", ae_title, "-od", place, str(port)],
    }
    return commands[name]


def sender_command(name: str, port: int, calling: str, called: str, paths: Sequence[Path]) -> list[str]:
    """A storage SCU that sends `paths`, with the implementation's default settings."""
    files = [str(path) for path in paths]
    titles = ["-aet", calling, "-aec", called]
    pynetdicom = ["-m", "pynetdicom", "storescu", "127.0.0.1", str(port), *files, *titles, "-q"]
    pixelmed = "com.pixelmed.network.StorageSOPClassSCU"
    commands = {
        "CTN": ["send_image", "-q", "-a", calling, "-c", called, "127.0.0.1", str(port), *files],
        "odil": ["odil", "store", "127.0.0.1", str(port), calling, called, *files],
        "PixelMed": [*PIXELMED, pixelmed, "127.0.0.1", str(port), called, calling, *files],
        "dcmjs-dimse": ["node", str(HERE / "dcmjs.cjs"), "scu", str(port), calling, called, *files],
        "pynetdicom 2": [os.environ.get(PYNETDICOM_2, ""), *pynetdicom],
        "pynetdicom 3": [sys.executable, *pynetdicom],
        "storescu": ["/usr/bin/storescu", *titles, "127.0.0.1", str(port), *files],
        "dcmsend": ["/usr/bin/dcmsend", *titles, "127.0.0.1", str(port), *files],
    }
    return commands[name]


ONE_BY_ONE = frozenset({"CTN", "dcmsend", "odil", "PixelMed", "dcmjs-dimse", "storescu"})
"""Senders of which one file at a time is sent: their first trouble ends the others, or they take one file."""


async def send(name: str, port: int, calling: str, called: str, paths: Sequence[Path]) -> list[Finished]:
    """Send all of `paths`."""
    groups = [[path] for path in paths] if name in ONE_BY_ONE else [list(paths)]
    return [await run(sender_command(name, port, calling, called, group), timeout_s=120) for group in groups]
