"""The command `gateway`, which is `python -m gateway`."""

import sys

from gateway.common import early_signals

early_signals.hold(sys.argv[1:])

from gateway.common.without_codecs import hide_codecs  # noqa: E402

hide_codecs()

from gateway.cli import main  # noqa: E402 - imports pydicom
from gateway.common.file_modes import set_umask  # noqa: E402

set_umask("owner")  # what any command writes may hold patients

if __name__ == "__main__":
    main(prog_name="gateway")
