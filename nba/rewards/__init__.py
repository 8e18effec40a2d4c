"""Rewards: outcomes claimed by decisions, valued by the owner's rule."""
