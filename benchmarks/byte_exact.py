"""Every real object through the gateway, byte for byte: `python -m benchmarks.byte_exact` writes byte_exact.md."""

from tests.support.campaigns.byte_exact import main

if __name__ == "__main__":
    main()
