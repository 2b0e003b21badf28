"""The benchmarks on a GPU, run from the checkout by acceptance.sh."""
