"""What PCA's users look for in a fitted estimator: shares of variance, loadings, names."""
