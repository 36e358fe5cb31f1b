"""The language of the configuration: the settings of each section, of which `gateway.forms` makes the rest.

Every text that is a quantity or a name of the standard stays text here; `gateway.config.compile` gives it meaning.
``${NAME}``, ``${NAME:-default}`` and ``${file:PATH}`` are resolved before. Words of a choice stand in the order in
which messages and documents list them.
"""
