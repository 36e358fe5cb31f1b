"""What honest peers feel while somebody attacks: `python -m benchmarks.attacks`."""

from tests.support.campaigns.attacks import main

if __name__ == "__main__":
    main()
