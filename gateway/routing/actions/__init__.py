"""Actions: the changes that rules may make, one frozen dataclass a kind."""
