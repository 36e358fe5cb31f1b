"""De-identification by PS3.15 Annex E: the standard's tables as data, and what they mean for one element.

`tables` reads the data, `rulings` turns rows and options into one ruling a tag, `dummy` and `clean` make values,
`rewrite` puts them together, `marks` says in the object what was done. The kind is
`gateway.routing.actions.deidentify`.
"""
