"""`python -m sdilib`, the same as `sdilib`."""

import sys

from sdilib.cli import main

if __name__ == "__main__":
    sys.exit(main())
