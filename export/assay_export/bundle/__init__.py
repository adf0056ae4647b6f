"""Writing the bundle: files, golden rows, manifest, and the move into place."""
