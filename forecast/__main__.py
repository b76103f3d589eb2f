"""`python -m forecast` is `forecast`."""

from forecast.cli import run

if __name__ == "__main__":
    run()
