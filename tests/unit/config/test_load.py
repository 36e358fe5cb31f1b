"""What holds of every configuration: it never raises, reports in order, and is quick."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config import load
from tests.support.effort import processor_time_below
from tests.support.quick_run import QUICK_RUN

RULES = Path(__file__).parents[3] / "rules"
SITE = "\n".join(path.read_text() for path in sorted(RULES.glob("*.yaml")))
LINES = SITE.splitlines()

mutations = st.lists(
    st.tuples(
        st.integers(0, len(SITE) - 1),
        st.integers(0, 12),
        st.text(st.sampled_from(" \n\t:-[]{}&*!|>'\"%@#,?${}aA0.é\0\u2028"), max_size=5),
    ),
    min_size=1,
    max_size=4,
)
values = st.recursive(
    st.sampled_from(["null", "true", "0", "-1", "1.5", "text", '""', "${NONE}", "${HOME}", "[]", "{}", "10 s", "a:1"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(st.sampled_from(["name", "to", "when", "all", "set", "port", "x"]), inner, max_size=3).map(
            lambda entries: "{" + ", ".join(f"{key}: {value}" for key, value in entries.items()) + "}"
        ),
    ),
    max_leaves=5,
)
fuzzed = settings(
    max_examples=QUICK_RUN.examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def check(path: Path) -> None:
    loaded = load(path, {"HOME": "/root"})

    assert list(loaded.problems) == sorted(loaded.problems, key=lambda problem: problem.mark)
    assert len(set(loaded.problems)) == len(loaded.problems)
    assert all(problem.mark.line >= 1 and problem.mark.column >= 1 for problem in loaded.problems)
    has_errors = any(problem.severity == "error" for problem in loaded.problems)
    assert (loaded.table is None) is has_errors


@fuzzed
@given(mutations)
def test_damaged_text_is_answered_with_problems(tmp_path: Path, changes: list[tuple[int, int, str]]) -> None:
    text = SITE
    for start, length, new in changes:
        text = text[:start] + new + text[start + length :]
    file = tmp_path / "a.yaml"
    file.write_text(text)

    check(file)


@fuzzed
@given(st.binary(max_size=200))
def test_any_bytes_are_answered_with_problems(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(content)

    check(file)


@fuzzed
@given(st.integers(0, len(LINES) - 1), values)
def test_any_value_in_any_place_is_answered_with_problems(tmp_path: Path, line: int, value: str) -> None:
    key, colon, _ = LINES[line].partition(":")
    lines = [*LINES[:line], f"{key}{colon or ':'} {value}", *LINES[line + 1 :]]
    file = tmp_path / "a.yaml"
    file.write_text("\n".join(lines))

    check(file)


def site_of(count: int) -> str:
    lines = ["gateway: {ae_title: GATEWAY, listeners: [{port: 11112}]}", "unmatched: hold", "peers:"]
    for number in range(count):
        lines += [
            f"  peer{number}:",
            f"    ae_title: AE{number}",
            f"    address: peer{number}.example.org:104",
            "    may: [store]",
            f"    hosts: [10.{number >> 8}.{number & 255}.0/24]",
            "    delivery: {associations: 4, retry: {first: 10 s, max: 10 min}}",
        ]
    lines.append("routes:")
    for number in range(count):
        lines += [
            f"  - name: route {number}",
            f"    when: {{all: [{{modality: [CT, MR]}}, {{calling_ae_title: [AE{number}]}}]}}",
            f"    to: [peer{number}]",
        ]
    return "\n".join(lines)


def test_a_thousand_peers_and_routes_compile_in_seconds(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(site_of(1000))
    with processor_time_below(5):  # 0.7 s on a quiet machine
        loaded = load(file, {})

    assert loaded.problems == ()
    assert loaded.table is not None
    assert len(loaded.table.routes) == 1000


@pytest.mark.campaign
def test_a_thousand_mistakes_are_all_reported(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(site_of(1000).replace("may: [store]", "may: [stoer]").replace("to: [peer", "to: [per"))
    with processor_time_below(20):
        loaded = load(file, {})

        assert len(loaded.problems) == 2000


@pytest.mark.parametrize("count", [1, 3])
def test_reading_again_gives_an_equal_table(count: int, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(site_of(count))

    assert load(file, {}).table == load(file, {}).table
