"""From what a caller passes to token ids: validation, files of rows, the pipeline's forms of input, tokenization."""
