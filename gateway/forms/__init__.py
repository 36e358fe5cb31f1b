"""The one engine of settings: dataclasses whose annotations give forms, for sections of the YAML and for kinds."""
