"""Trainings as a user sees them: with evaluations and pictures between epochs, in one folder."""
