"""Full-size stand-ins with random weights, built on demand. They show speed and memory, never accuracy.

    python -m benchmarks.standins osmosis         OUT    a DeBERTa-v3-base pair classifier
    python -m benchmarks.standins maxwell         OUT    a ModernBERT-large with one regression output
    python -m benchmarks.standins maxwell-adapter OUT    OUT/base (the same) and OUT/adapter (PEFT LoRA over it)
    python -m benchmarks.standins.plain_int8 CHECKPOINT FOLDER

`standins` builds the checkpoints out of the weights that `random_weights` draws, `plain_int8` writes the int8 graphs
of a model that passes its gate at once, and `ungated` puts such a graph into a bundle.
"""
