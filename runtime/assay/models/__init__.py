"""Models: from rows to logits, and from logits to labels and scores."""
