"""Long runs against real processes; tests run them in short, `python -m benchmarks.NAME` in full."""
