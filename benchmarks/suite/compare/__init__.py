"""`python -m benchmarks compare A B`: two runs, cell by cell."""
