"""The command `gateway`, which is `python -m gateway`."""

from gateway.without_codecs import hide_codecs

hide_codecs()

from gateway.cli import main  # noqa: E402 - imports pydicom
from gateway.file_modes import set_umask  # noqa: E402

set_umask("owner")  # what any command writes may hold patients

if __name__ == "__main__":
    main(prog_name="gateway")
