"""Measurements of bundles and what they need: nothing here is part of the product or of its wheel."""
