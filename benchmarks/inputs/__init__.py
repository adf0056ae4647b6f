"""What is measured on: `texts` by length, `calibration` text, and `materials` next to the repository."""
