"""SetFit models: an encoder of sentence-transformers, and a linear classifier over its embeddings."""
