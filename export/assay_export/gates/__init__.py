"""Comparing graphs with PyTorch. A graph that differs by more than its gate allows does not enter a bundle."""
