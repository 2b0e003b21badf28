"""The public functions: each scheme turns a shape and its arguments into the numbers of a fill."""
