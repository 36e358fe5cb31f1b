"""The instances of a C-MOVE or C-GET: which they are, where they come from, in which form each destination gets
them.
"""
