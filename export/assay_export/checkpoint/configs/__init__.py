"""The configs of a checkpoint: of the model, of an adapter, of sentence-transformers."""
