"""`python -m hierprob3d`: the same as the command `hierprob3d`."""

import sys

from hierprob3d.pipelines.command.cli import main

if __name__ == "__main__":
    sys.exit(main())
