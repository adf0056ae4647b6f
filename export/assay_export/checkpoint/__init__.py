"""Reading a checkpoint: where it comes from, its config, tokenizer and head, and the PyTorch model."""
