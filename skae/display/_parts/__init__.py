"""What several displays draw: PCA beside a model, rows as pictures, y as colours, numbers."""
