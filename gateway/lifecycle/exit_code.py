"""Exit codes of every command, and what they mean (`sysexits.h` where it has a word for it)."""

from __future__ import annotations

SUCCESS = 0
FAILURE = 1  # problems in the configuration, objects that could not be sent, a reload that was refused
USAGE = 2  # wrong arguments
WARNINGS = 3  # warnings under --strict
SOFTWARE = 70  # EX_SOFTWARE: a part of the gateway died; the log says which and why
UNAVAILABLE = 75  # EX_TEMPFAIL: ended by a second signal before everything was finished; it cannot be asked now
CONFIGURATION = 78  # EX_CONFIG: the configuration, or what it names, cannot be used
