"""The model layer, torch's side: what is the model?"""
