"""Results of tests as text for people, as JSON and as JUnit XML."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any
from xml.etree import ElementTree

from gateway.rehearsal.rule_tests.result import Failure, FileResult, RuleTestResult


@dataclasses.dataclass(frozen=True, slots=True)
class Summary:
    """Numbers of all files."""

    passed: int
    failed: int
    deselected: int
    problems: int
    files: int

    @property
    def is_good(self) -> bool:
        """True when something ran and nothing failed."""
        return bool(self.passed) and not self.failed and not self.problems


def summary(files: Sequence[FileResult]) -> Summary:
    """Count."""
    results = [result for file in files for result in file.results]
    passed = sum(result.is_passed for result in results)
    return Summary(
        passed=passed,
        failed=len(results) - passed,
        deselected=sum(file.deselected for file in files),
        problems=sum(problem.severity == "error" for file in files for problem in file.problems),
        files=len(files),
    )


def text(files: Sequence[FileResult], *, with_values: bool) -> Iterator[str]:
    """The report: one line a test, and its failures below it."""
    for file in files:
        yield f"{file.path}"
        yield from (f"  {problem}" for problem in file.problems)
        for result in file.results:
            yield f"  {'ok  ' if result.is_passed else 'FAIL'}  {result.name}"
            for failure in result.failures:
                yield from (f"        {line}" for line in failure_lines(failure, with_values=with_values))
    total = summary(files)
    counts = [(total.passed, "passed"), (total.failed, "failed"), (total.deselected, "not selected")]
    parts = [f"{count} {word}" for count, word in counts if count] or ["no tests"]
    problems = f", {total.problems} problem{'s' if total.problems > 1 else ''}" if total.problems else ""
    yield f"{', '.join(parts)}{problems} ({total.files} file{'' if total.files == 1 else 's'})"


def failure_lines(failure: Failure, *, with_values: bool) -> list[str]:
    """The lines of a failure: the expectation, its place, and the value found."""
    mark = failure.mark
    return [
        f"{failure.what} [{mark.file}:{mark.line}]",
        f"  expected  {failure.expected}",
        f"  found     {failure.found_text(with_values=with_values)}",
    ]


def as_json(files: Sequence[FileResult], *, with_values: bool) -> dict[str, Any]:
    """The shape is stable: names are only added."""
    return {
        "files": [
            {
                "path": str(file.path),
                "problems": [
                    {**dataclasses.asdict(problem), "mark": problem.mark._asdict()} for problem in file.problems
                ],
                "tests": [_result_json(result, with_values=with_values) for result in file.results],
                "deselected": file.deselected,
            }
            for file in files
        ],
        "summary": dataclasses.asdict(summary(files)),
    }


def _result_json(result: RuleTestResult, *, with_values: bool) -> dict[str, Any]:
    return {
        "name": result.name,
        "place": result.mark._asdict(),
        "passed": result.is_passed,
        "failures": [
            {
                "what": failure.what,
                "expected": failure.expected,
                "found": failure.found_text(with_values=with_values),
                "place": failure.mark._asdict(),
            }
            for failure in result.failures
        ],
    }


def junit(files: Sequence[FileResult], *, with_values: bool) -> str:
    """JUnit XML, one suite a file; problems of a file are an error of its suite."""
    root = ElementTree.Element("testsuites", name="gateway test")
    for file in files:
        failed = sum(not result.is_passed for result in file.results)
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=str(file.path),
            tests=str(len(file.results) + bool(file.problems)),
            failures=str(failed),
            errors=str(int(bool(file.problems))),
        )
        if file.problems:
            case = ElementTree.SubElement(suite, "testcase", classname=str(file.path), name="(the file)")
            problems = "\n".join(map(str, file.problems))
            ElementTree.SubElement(case, "error", message="the test file has problems").text = problems
        for result in file.results:
            _junit_case(suite, file, result, with_values=with_values)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)


def _junit_case(suite: ElementTree.Element, file: FileResult, result: RuleTestResult, *, with_values: bool) -> None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=str(file.path),
        name=result.name,
        file=str(file.path),
        line=str(result.mark.line),
        time=f"{result.duration_s:.3f}",
    )
    if result.failures:
        lines = [line for one in result.failures for line in failure_lines(one, with_values=with_values)]
        message = f"expected {result.failures[0].what}: {result.failures[0].expected}"
        ElementTree.SubElement(case, "failure", message=message).text = "\n".join(lines)
