"""The life of a gateway process: start, signals, log, conditions, reload and stop."""
