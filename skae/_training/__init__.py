"""The training layer, the only one that imports skorch: how is a module trained?"""
