"""The gateway between implementations by others: `python -m benchmarks.interoperability [--write]`."""

from tests.support.campaigns.interoperability import main

if __name__ == "__main__":
    main()
