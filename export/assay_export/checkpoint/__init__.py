"""Reading a checkpoint: where it comes from, its config, its tokenizer, its head, and the PyTorch model."""
