"""From a caller's input to token ids: validation, files of rows, the pipeline's forms of input, tokenization."""
