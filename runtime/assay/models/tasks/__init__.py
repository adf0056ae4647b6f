"""What a model is asked besides labels and scores: ranking, zero-shot labels, explanations, long texts."""
