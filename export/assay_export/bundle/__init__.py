"""The bundle as files: metadata, golden rows, the manifest, and the move into place."""
