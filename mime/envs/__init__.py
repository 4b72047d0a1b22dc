"""Environments whose parameters are the task."""
