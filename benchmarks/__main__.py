"""``python -m winit_cuda.benchmarks`` is ``winit-cuda bench``."""

import sys

from winit_cuda._command.cli import main

if __name__ == "__main__":
    sys.exit(main(["bench", *sys.argv[1:]]))
