"""Bundles inside other libraries' data sets. Each module imports its library, and is imported only when asked for."""
