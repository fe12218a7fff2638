"""Durability campaigns: see README.md."""
