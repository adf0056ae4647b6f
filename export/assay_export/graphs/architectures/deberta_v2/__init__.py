"""DeBERTa-v2 and -v3: attention to relative positions, and the convolution that some checkpoints have."""
