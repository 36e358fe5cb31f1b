"""Rules: predicates, actions and the routing table. Importing it registers the kinds that the gateway ships."""

from gateway.routing.actions import attributes as attribute_actions
from gateway.routing.actions import deidentify, fate, keep, pseudonym, text, transcode, whole_object
from gateway.routing.predicates import association, attribute, combining, expression, instance, time

__all__ = [
    "association",
    "attribute",
    "attribute_actions",
    "combining",
    "deidentify",
    "expression",
    "fate",
    "instance",
    "keep",
    "pseudonym",
    "text",
    "time",
    "transcode",
    "whole_object",
]
