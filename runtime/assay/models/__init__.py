"""What logits mean: classifiers, scorers, and answers to streams of rows."""
