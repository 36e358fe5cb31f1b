"""Mutated associations against a gateway: `python -m benchmarks.fuzz [--sessions N] [--seed S] [--record]`."""

from tests.support.campaigns.fuzz import main

if __name__ == "__main__":
    main()
