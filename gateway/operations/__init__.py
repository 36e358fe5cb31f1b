"""Operators' queries and verbs as coroutines: the command line on the file, a page through the running journal."""
