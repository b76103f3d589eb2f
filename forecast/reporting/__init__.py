"""The report: one HTML page that needs nothing else. It writes what it is given; facts are tasks/report.py's."""
