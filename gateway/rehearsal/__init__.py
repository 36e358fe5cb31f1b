"""The way of an object without network and disk: staged, explained, and tested."""
