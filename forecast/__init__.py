"""forecast: CSV series in, recurrent forecasts out."""

__version__ = "0.1.0"
