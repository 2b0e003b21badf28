"""Tunes the kernels on a GPU: variants, checked for their bits and measured in turns."""
