"""The file formats of annotate: each reads rows, and writes them again with their answers."""
