"""Collecting episodes: from compiled environments, from worker processes."""
