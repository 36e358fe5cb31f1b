from gateway.delivery.courier_status import CourierStatus
from gateway.operations.status import destinations_json
from tests.unit.delivery.test_window_watch import MONDAY_NOON


def test_a_destination_waits_for_nothing_unless_it_says_so() -> None:
    [row] = destinations_json([CourierStatus("pacs", True, "", 0.0, 1, 2)], [])
    assert (row["waits_for"], row["opens_at"]) == ("", None)


def test_the_time_at_which_a_window_opens_is_a_text() -> None:
    closed = CourierStatus("pacs", True, "", 60.0, 0, 0, waits_for="window", opens_at=MONDAY_NOON)
    [row] = destinations_json([closed], [])
    assert (row["waits_for"], row["opens_at"]) == ("window", "2026-03-02T12:00:00+00:00")
