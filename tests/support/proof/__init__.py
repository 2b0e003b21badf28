"""Random initializers of parts of tensors, on real processes, against one process, bit for bit.

`cases` draws what is filled, where and how; `calls` is the call itself, `tensors` what a rank has
of the tensor. `ranks` is what each process does, `pool` the processes of a group, `rules` what has
to hold, and how often what was tried. `tests/support/prove.py` is the command.
"""
