"""SetFit models: an encoder of sentence-transformers, and a classifier of scikit-learn over its embeddings."""
