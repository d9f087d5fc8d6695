"""What makes training fast: written-out gradients, the optimizer, number formats, threads."""
