"""One SOP Instance UID for two objects: the log says when the earlier one is not found any more."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.sqlite.store import SQLiteStore
from tests.contract.test_index import accept, held


@pytest.mark.parametrize(
    ("again", "is_told"),
    [
        pytest.param({}, False, id="the same place"),
        pytest.param({"SeriesInstanceUID": "1.1.9"}, True, id="another series"),
        pytest.param({"StudyInstanceUID": "1.7", "SeriesInstanceUID": "1.7.1"}, True, id="another study"),
        pytest.param({"PatientID": "P2"}, True, id="another patient"),
    ],
)
def test_what_is_hidden_is_reported(tmp_path: Path, again: dict[str, str], is_told: bool) -> None:
    queue = SQLiteStore(tmp_path / "queue.db")
    accept(queue, held(1, body=b"old"), held(2))
    with capture_logs() as logs:
        accept(queue, held(1, body=b"new!", **again))
    queue.close()
    moved = [entry["log_level"] for entry in logs if entry["event"] == "instance_moved"]
    assert moved == ["error"] * is_told
