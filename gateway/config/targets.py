"""Templates under `to` → targets of a route. The names that they can come to, as far as they are known, are checked."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.common import setting_faults as faults
from gateway.config.compile_context import Context
from gateway.config.destination_names import Names
from gateway.config.tree import Place
from gateway.routing.language.template import EXPRESSION, Template
from gateway.routing.language.template_outcomes import KnownText, outcomes
from gateway.routing.targets import Recipients, Targets, TargetTemplate

MOST_SAID = 5
"""Wrong outcomes of one template that are reported."""


def is_template(word: str) -> bool:
    """True for a word under `to` that is no name."""
    return EXPRESSION.search(word) is not None


def compile_targets(words: Sequence[str], place: Place, names: Names, context: Context) -> Targets:
    """The templates among `words`. Problems are reported."""
    found = [(place.at(index), word) for index, word in enumerate(words) if is_template(word)]
    targets = [_target(word, at, names, context) for at, word in found]
    templates = tuple(target for target in targets if target is not None)
    return Targets(templates, Recipients(names.members, names.choosing)) if templates else Targets()


def _target(word: str, at: Place, names: Names, context: Context) -> TargetTemplate | None:
    resources = context.resources_at(at)
    try:
        template = Template(word, resources)
    except ValueError as error:
        context.error(at, "bad-template", str(error))
        return None
    if context.is_complete:
        wrong = [outcome for outcome in outcomes(word, resources) if not names.members.get(outcome.text.strip(" "))]
        for outcome in wrong[:MOST_SAID]:
            _report(outcome, at, names, context)
        if len(wrong) > MOST_SAID:
            context.error(at, "unknown-destination", f"and {len(wrong) - MOST_SAID} more that are no destination")
    return TargetTemplate(template, at.mark)


def _report(outcome: KnownText, at: Place, names: Names, context: Context) -> None:
    """A text that names nothing that objects can be sent to. Values of tables may name patients: none is quoted."""
    name = outcome.text.strip(" ")
    where = f"the value in `{outcome.table}`, line {outcome.line}," if outcome.table else f"`{name}`"
    if name in names.not_destinations:
        message = f"{where} only calls us: it has neither `address` nor `folder`"
        context.error(at, "not-a-destination", message)
    elif name in names.peers or name in names.groups:
        message = f"{where} is disabled: objects for it would be held"
        context.findings.warning(at.mark, "disabled-destination", message)
    elif outcome.table:
        context.error(at, "unknown-destination", f"{where} is the name of no peer and no group")
    elif not name:
        context.error(at, "unknown-destination", "the template gives an empty text: the object would be held")
    else:
        known = names.peers | names.groups
        context.error(at, "unknown-destination", faults.no_such_name("peer and no group", where, name, known))
