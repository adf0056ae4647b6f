"""What is made before the clock starts, each in a process that ends, so that no PyTorch stays in the one that times.

`model` turns what the user names into a checkpoint and a bundle, `peer` makes the files of one peer, and `reference`
asks PyTorch for its answers.
"""
