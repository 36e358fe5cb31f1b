"""One attack in a process of its own: prints what it saw as a line of JSON when it is over."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource

from tests.support.attacks.catalogue import ATTACKS, run
from tests.support.attacks.line import Target


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.support.attacks", description=__doc__)
    parser.add_argument("name", choices=sorted(ATTACKS))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--http-port", type=int, default=0)
    parser.add_argument("--times", type=float, default=1)
    parser.add_argument("--seconds", type=float, default=0)
    arguments = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    os.nice(5)  # an attacker has a machine of its own
    attack = ATTACKS[arguments.name]
    target = Target(arguments.port, arguments.http_port, arguments.times, arguments.seconds or attack.seconds)
    print(json.dumps(asyncio.run(run(attack, target))), flush=True)


if __name__ == "__main__":
    main()
