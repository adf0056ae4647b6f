"""Publishes a bundle on the Hugging Face Hub: `upload` uploads it, `card` writes its model card, `speed` measures."""
