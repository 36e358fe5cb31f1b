"""The level of `find`, `move` and `get`, by option and by key, alike in all three."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.cli.query_level import level_of
from gateway.model.query import QueryLevel

UID = "StudyInstanceUID=1.2"
NOBODY = "127.0.0.1:9"
COMMANDS = {"find": ("find", NOBODY), "move": ("move", NOBODY, "WS1"), "get": ("get", NOBODY, "out")}


@pytest.mark.parametrize(
    ("words", "option", "level"),
    [
        ([UID], None, None),
        ([UID], "Series", QueryLevel.SERIES),
        (["QueryRetrieveLevel=STUDY", UID], None, QueryLevel.STUDY),
        ([UID, "QueryRetrieveLevel=image"], None, QueryLevel.IMAGE),
        (["(0008,0052)=PATIENT", UID], None, QueryLevel.PATIENT),
        (["QueryRetrieveLevel=STUDY", UID, "QueryRetrieveLevel=STUDY"], "study", QueryLevel.STUDY),
    ],
)
def test_the_level(words: list[str], option: str | None, level: QueryLevel | None) -> None:
    assert level_of(words, option) == (level, [UID])


def test_what_is_no_level_stays(tmp_path: Path) -> None:
    words = ["QueryRetrieveLevel", "nonsense=1", "ReferencedStudySequence[0].QueryRetrieveLevel=STUDY"]
    assert level_of(words, None) == (None, words)


MISTAKES: dict[str, tuple[list[str], str]] = {
    "option and key": (
        [UID, "QueryRetrieveLevel=SERIES", "--level", "study"],
        "QueryRetrieveLevel=SERIES and --level study differ: say the level once",
    ),
    "two keys": (
        ["QueryRetrieveLevel=SERIES", UID, "QueryRetrieveLevel=STUDY"],
        "QueryRetrieveLevel=STUDY and another KEY differ: say the level once",
    ),
    "no level": (["QueryRetrieveLevel=STUDIES", UID], "'STUDIES' is not one of patient, study, series, image"),
}


@pytest.mark.parametrize("name", MISTAKES)
@pytest.mark.parametrize("command", COMMANDS)
def test_mistakes_are_said_alike(command: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    words, said = MISTAKES[name]
    done = CliRunner().invoke(main, [*COMMANDS[command], *words])
    assert (done.exit_code, said in " ".join(done.stderr.split())) == (2, True), done.stderr


@pytest.mark.parametrize("command", ["move", "get"])
def test_a_level_names_nothing_to_retrieve(command: str) -> None:
    done = CliRunner().invoke(main, [*COMMANDS[command], "QueryRetrieveLevel=STUDY"])
    assert done.exit_code == 2
    assert "a level alone names nothing: add a KEY of that level" in " ".join(done.stderr.split())


def test_a_worklist_has_no_levels() -> None:
    done = CliRunner().invoke(main, [*COMMANDS["find"], "QueryRetrieveLevel=STUDY", "--model", "worklist"])
    assert done.exit_code == 2
    assert "--model worklist has no levels: leave STUDY out" in " ".join(done.stderr.split())
