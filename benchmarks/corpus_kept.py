"""What archives keep, the gateway keeps: `python -m benchmarks.corpus_kept` writes docs/objects.md."""

from tests.support.campaigns.corpus_kept import main

if __name__ == "__main__":
    main()
