"""Fitted estimators in files: what save writes, what load accepts, what pickle is given."""
