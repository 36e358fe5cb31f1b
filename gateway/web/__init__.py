"""The HTTP listener: its connections in bounds, the hosts that it answers, and its pages."""
