"""``python -m winit_cuda``: the command ``winit-cuda``."""

import sys

from ._command.cli import main

if __name__ == "__main__":
    sys.exit(main())
