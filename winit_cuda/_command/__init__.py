"""The command ``winit-cuda``."""
