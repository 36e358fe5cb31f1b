"""Predicates: the conditions that rules may state, one frozen dataclass a kind."""
