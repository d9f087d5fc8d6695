"""Trainings that go on where another one ended: after a crash, or after a process was lost."""
