"""Random calls of the whole public interface, and the promises that each of them has to keep.

`inputs` makes tensors, `values` the other arguments, `calls` puts a call together and says in which
modes it runs, `checks` makes it and names what is broken.
"""
