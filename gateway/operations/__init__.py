"""Operators' questions and verbs as coroutines: the command line asks the file, a page the running journal."""
