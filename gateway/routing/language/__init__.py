"""The language of rules: kinds and their fields, attribute paths, comparisons, templates, patterns, scales."""
