"""The bundle on disk or on the Hub: its folder, its manifest, and the golden rows that verify it."""
