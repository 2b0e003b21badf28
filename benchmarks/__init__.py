"""Benchmarks of the fills: every initializer against ``torch.nn.init`` and against ``fill_``.

Installed as ``winit_cuda.benchmarks`` and run by ``winit-cuda bench``. ``cases`` says what is
measured, ``measure`` how, ``tables``, ``report`` and ``plot`` how it is written down, ``command``
is the command line.
The numbers of the project's README come from the files in ``results/``.
"""
