"""Which fit a checkpoint belongs to."""
