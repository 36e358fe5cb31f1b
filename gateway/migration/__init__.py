"""A migration: everything that a stopped gateway holds goes into another store, of the same or another kind."""
