"""Belamy."""
