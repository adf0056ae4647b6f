"""`python -m benchmarks readme`: the README's tables and its picture, from the checked-in results."""
