"""Constructor parameters: how they are declared, checked, and what they stand for."""
