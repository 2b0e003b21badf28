"""What everything rests on: the native core, dtypes, targets, checks, torch's internals."""
