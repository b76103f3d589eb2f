"""What each metric means: the table behind --help and the handbook; and what skill is measured against.

metrics.py computes them."""

from __future__ import annotations

from typing import NamedTuple

REFERENCE = "seasonal_naive"                                            # repeats the last season; and beside it the
SIMPLE = (REFERENCE, "naive")                                           # last value: skill is told against the better


class Metric(NamedTuple):
    """One row of METRICS: what is printed where a metric's meaning is asked for."""

    formula: str
    unit: str


METRICS = {
    "mae": Metric("mean |y - f|", "units of the target"),
    "rmse": Metric("sqrt(mean (y - f)^2)", "units of the target"),
    "bias": Metric("mean (f - y)", "units of the target; above 0 forecasts too much"),
    "mase": Metric("mean |y - f| / scale, scale = mean |y_t - y_(t-m)| in sample", "1 = as seasonal naive in sample"),
    "smape": Metric("mean 200 |y - f| / (|y| + |f|), 0/0 = 0", "percent, 0 to 200"),
    "wape": Metric("sum |y - f| / sum |y|", "share of the target, 0.1 = 10 %"),
    "coverage": Metric("mean (lo <= y <= hi)", "share of the rows; a band of 80 % should give 0.8"),
    "width": Metric("mean (hi - lo)", "units of the target"),
    "wql": Metric("mean over q of 2 sum pinball_q / sum |y|, pinball_q = max(q (y - f_q), (q - 1) (y - f_q))",
                  "share of the target; at q = 0.5 alone it is wape"),
}
