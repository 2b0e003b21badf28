"""How winit_cuda is built: what pip asks for and what setup.py compiles.

    hooks           the build backend of pyproject.toml: setuptools, and what it needs besides
    plan            what is built with what, and why
    toolkit         nvcc: on this machine, in the Python environment, on PyPI
    driver          NVIDIA's driver: which CUDA it takes, and for which GPUs
    architectures   for which GPUs is compiled

setup.py does what the plan says. No part of the package is imported here, and nothing but the
standard library and setuptools is needed.
"""
