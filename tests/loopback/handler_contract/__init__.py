"""The handler contract of pynetdicom's documentation, row by row: the same handlers on stock pynetdicom and on
`gateway.dimse.server.Server`, and what a requestor sees of each over the wire.

`rows_*` hold the rows, `differences` each row in which the two differ, with the section of the standard that asks for
it; `docs/handlers.md` shows the same list.
"""
