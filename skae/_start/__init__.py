"""The start layer: where does training start?"""
