"""Forecasters without training."""
