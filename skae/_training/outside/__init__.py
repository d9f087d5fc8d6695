"""What users see of a training, and how they end it."""
