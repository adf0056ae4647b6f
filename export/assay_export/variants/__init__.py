"""The variants beside fp32: which there are, and what each is made from."""
