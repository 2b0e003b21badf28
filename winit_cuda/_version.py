"""The versions, in one place: setuptools reads the first here without importing torch."""

__version__ = "0.1.0"

STREAM_VERSION = 1
"""Which values a key gives. An upgrade of the package never changes them: other values would be
another stream version, chosen by name."""
