"""Rules: predicates, actions and the routing table. Importing it registers the kinds that the gateway ships."""

from gateway.routing import (
    action,
    action_deidentify,
    action_fate,
    action_keep,
    action_pseudonym,
    action_text,
    action_transcode,
    action_whole,
    match,
    match_association,
    match_attribute,
    match_expression,
    match_object,
    match_time,
)

__all__ = [
    "action",
    "action_deidentify",
    "action_fate",
    "action_keep",
    "action_pseudonym",
    "action_text",
    "action_transcode",
    "action_whole",
    "match",
    "match_association",
    "match_attribute",
    "match_expression",
    "match_object",
    "match_time",
]
