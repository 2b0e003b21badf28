"""An import in a subinterpreter ends here: that of torch would wait for itself for ever."""

from __future__ import annotations

import importlib


def _is_main() -> bool:
    """Whether this is the first interpreter of the process; also where that cannot be found out."""
    for name in ("_interpreters", "_xxsubinterpreters"):  # since Python 3.13, before
        try:
            interpreters = importlib.import_module(name)
        except ImportError:
            continue
        return bool(interpreters.get_current() == interpreters.get_main())
    return True


if not _is_main():
    raise ImportError("winit_cuda: torch and winit_cuda work in the main interpreter only")
