"""The contracts of extensions and adapters, one a file; and the errors, sorted by who must act."""
