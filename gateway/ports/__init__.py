"""What an extension or an adapter must offer, one contract a file; and the errors, sorted by who must act."""
