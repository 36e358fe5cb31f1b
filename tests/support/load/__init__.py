"""A load generator, a sink, and what measures and reports; nothing of the gateway is used to send and receive."""
