"""Verifying user identities (PS3.7 §D.3.3.7) by password file, JSON Web Token or command; off the event loop."""
