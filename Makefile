# make: lint, types, tests (what must be green before a commit) · make demo · make test · make test-avx2 · make slow · make offline · make bench · make peers
PYTHON ?= python3
BIN := .venv/bin
DEMO := demo

.PHONY: all demo test test-avx2 lint types slow offline bench peers clean
all: lint types test

# One environment, of the versions that were tested; made again when they change.
.venv/ready: pyproject.toml .ci/constraints.txt
	@echo "Setting up .venv with all tools: downloading and installing, some minutes the first time ..."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint .ci/constraints.txt --editable '.[dev]'
	touch $@

# What it takes to use the program, without the tools of those who work on it.
.venv/usable: pyproject.toml .ci/constraints.txt
	@test -e .venv/ready || echo "Setting up .venv: downloading and installing, some minutes the first time ..."
	test -e .venv/ready || $(PYTHON) -m venv .venv
	test -e .venv/ready || $(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint .ci/constraints.txt --editable .
	touch $@

lint: .venv/ready
	$(BIN)/ruff check .

types: .venv/ready
	$(BIN)/mypy

test: .venv/ready
	$(BIN)/python -m pytest -n auto --maxprocesses 8

# What trains or computes with torch, on the kernels of a processor that has AVX2 and nothing newer.
AVX2 := ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2
KERNELS := $(addprefix tests/test_, $(addsuffix .py, hardware training cells model network predictor blending \
	init compare promotion replay))

test-avx2: .venv/ready
	$(AVX2) $(BIN)/python -m pytest -n auto --maxprocesses 8 $(KERNELS)

slow: .venv/ready
	$(BIN)/python -m pytest -m slow

offline: .venv/ready
	unshare --map-root-user --net $(BIN)/python -m pytest -n auto --maxprocesses 8

bench: .venv/ready
	$(BIN)/python tests/benchmarks/speed.py startup

# The libraries that accuracy.py and memory.py --peers .venv-peers stand beside, apart from our own environment.
peers: .venv-peers/ready

PEERS_PIP := .venv-peers/bin/python -m pip install --quiet --disable-pip-version-check
.venv-peers/ready: .ci/constraints-peers.txt
	$(PYTHON) -m venv .venv-peers
	$(PEERS_PIP) torch==2.13.0
	$(PEERS_PIP) --constraint .ci/constraints-peers.txt statsforecast neuralforecast pyarrow hmmlearn
	touch $@

# Train on AirPassengers, score it on its last two years, forecast the next one and draw it.
demo: .venv/usable
	rm -rf $(DEMO)
	mkdir $(DEMO)
	$(BIN)/forecast -C $(DEMO) train ../data/airpassengers.csv
	$(BIN)/forecast -C $(DEMO) evaluate --windows 2 --horizon 12 --predictions backtest.csv
	$(BIN)/forecast -C $(DEMO) predict --plot forecast.png
	@echo
	@echo "Look at   $(DEMO)/forecast.png      the forecast, drawn"
	@echo "          $(DEMO)/predictions.csv   the forecast, a row a month"
	@echo "          $(DEMO)/metrics.json      the scores of the last two years; backtest.csv has every forecast"
	@echo "          $(DEMO)/.forecast/        the model, in files you can read"
	@echo "Then try  $(BIN)/forecast train YOUR.csv"

clean:
	rm -rf .venv .venv-peers $(DEMO) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
