"""The composition root: the parts of the gateway, their start, reload and stop, and the process around them."""
