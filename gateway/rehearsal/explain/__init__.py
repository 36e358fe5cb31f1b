"""`gateway explain`: the effect of the rules on an object, with reasons, without sending anything."""

from gateway.rehearsal.explain.explain import explain
from gateway.rehearsal.explain.explanation import InstanceExplanation, Unexplained
from gateway.rehearsal.explain.subjects import ExplainedObject, of_files, of_queue
from gateway.rehearsal.explain.summary import ExplanationSummary

__all__ = [
    "ExplainedObject",
    "ExplanationSummary",
    "InstanceExplanation",
    "Unexplained",
    "explain",
    "of_files",
    "of_queue",
]
