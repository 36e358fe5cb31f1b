"""README: its YAML is valid, its commands and options exist, its lists are complete."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from gateway.cli import main
from gateway.config import load
from gateway.lifecycle import exit_code
from gateway.metrics import INFOS, METRICS, Metrics, reference

REPOSITORY = Path(__file__).parents[3]
README = (REPOSITORY / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
YAML = [text for language, text in BLOCKS if language == "yaml"]
LINES = [line for language, text in BLOCKS if language == "sh" for line in re.split(r"\n|&&|;", text)]
COMMANDS = [line.strip() for line in LINES if line.strip().startswith("gateway ")]


def test_there_is_something_to_check() -> None:
    assert YAML
    assert len(COMMANDS) > 8


@pytest.mark.parametrize("text", YAML, ids=range(len(YAML)))
def test_every_yaml_block_is_valid_without_a_warning(tmp_path: Path, text: str) -> None:
    (tmp_path / "site.yaml").write_text(text)
    assert [str(problem) for problem in load(tmp_path, {}).problems] == []


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_has_the_options_it_is_shown_with(line: str) -> None:
    words = shlex.split(re.sub(r"\s*(2>.*|&)$", "", line))[1:]
    command: click.Command = main
    context = click.Context(main, info_name="gateway")
    while isinstance(command, click.Group):
        name = words.pop(0)
        found = command.get_command(context, name)
        assert found is not None, name
        command = found
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_every_command_is_listed() -> None:
    assert [name for name in main.list_commands(click.Context(main)) if f"`gateway {name}" not in README] == []


def test_every_exit_code_is_listed() -> None:
    codes = {value for name, value in vars(exit_code).items() if name.isupper()}
    listed = set(map(int, re.findall(r"^\| (\d+) \|", README, re.MULTILINE)))
    assert codes == listed


def test_the_page_of_metrics_is_the_generated_one() -> None:
    page = (REPOSITORY / "docs" / "metrics.md").read_text()
    assert page == reference(), "run `gateway schema --metrics > docs/metrics.md`"


def test_metrics_that_the_readme_names_are_there() -> None:
    known = {row.name for row in (*METRICS, *INFOS)}
    named = set(re.findall(r"`(gateway_[a-z_]+)`", README))
    assert named <= known
    assert len(named) > 5


def test_the_page_of_metrics_has_all_that_is_shown_and_its_labels() -> None:
    """Names and labels as the running gateway registers them."""
    registered = {metric.name for metric in Metrics().registry.collect()}
    known = {row.name.removesuffix("_total").removesuffix("_info") for row in (*METRICS, *INFOS)}
    assert registered == known


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (REPOSITORY / target).exists(), target
