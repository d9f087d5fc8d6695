"""The estimator layer, scikit-learn's side: what does the user want?"""
