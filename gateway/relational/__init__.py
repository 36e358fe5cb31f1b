"""The parts of a store that all relational databases share: rows, and what is done by named statements."""
