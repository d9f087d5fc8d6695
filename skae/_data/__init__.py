"""The data layer: what comes in?"""
