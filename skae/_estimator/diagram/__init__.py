"""What notebooks show of a fitted autoencoder, in scikit-learn's diagram."""
