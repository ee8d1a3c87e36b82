# `make quickstart` and `make test` need Python 3.11 and nothing else: both install first.
#
#   make install      .venv with pinned versions, .venv/bin/zoo
#   make quickstart   the whole road on a made-up camera, into runs/quickstart
#   make test         the tests
#   make test-tf217   the same on TensorFlow 2.17, in .venv-tf217
#   make lint         ruff

SHELL := /bin/bash
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
# The first of these that runs and is new enough; a `python3.11` on the PATH may be a dead shim.
PYTHON ?= $(shell for python in python3.11 python3; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo "$$python"; break; }; done)
QUICKSTART ?= runs/quickstart
# Two processes: each holds a TensorFlow of its own, about 1 GB.
TEST_WORKERS ?= 2

bin := $(VENV)/bin
stamp := $(VENV)/.installed
pip := $(bin)/python -m pip --disable-pip-version-check

.PHONY: install quickstart test test-tf217 lint
.DEFAULT_GOAL := install

install: $(stamp)

# The stamp is written last, so an install that was broken off is done again. `import cv2` is
# tried because opencv-python cannot load where the system has no libGL.so.1, as in slim
# containers; the headless wheel is the same bindings without it. Both fill the same folder,
# so the one goes before the other comes.
$(stamp): setup.cfg pyproject.toml $(CONSTRAINTS)
	@if [ -z "$(PYTHON)" ]; then echo "make: Python 3.11 is needed; give it as PYTHON=/path/to/python3.11" >&2; exit 1; fi
	@[ -x $(bin)/pip ] || { echo "Creating $(VENV) with $$($(PYTHON) --version)"; $(PYTHON) -m venv --clear $(VENV); }
	$(pip) install --quiet --constraint $(CONSTRAINTS) setuptools
	$(pip) install --quiet --constraint $(CONSTRAINTS) --no-build-isolation --editable '.[test,dev]'
	@if ! reason=$$($(bin)/python -c 'import cv2' 2>&1); then \
		version=$$($(bin)/python -c 'from importlib.metadata import version; print(version("opencv-python"))') && \
		echo "opencv-python cannot be loaded here: $${reason##*$$'\n'}" && \
		echo "Installing opencv-python-headless $$version in its place: the same bindings without windows and libGL.so.1" && \
		$(pip) uninstall --quiet --yes opencv-python opencv-python-headless && \
		$(pip) install --quiet --constraint $(CONSTRAINTS) --no-deps "opencv-python-headless==$$version" && \
		$(bin)/python -c 'import cv2'; \
	fi
	@touch $(stamp)
	@echo "Installed: $(bin)/zoo"

# A second run gets a folder of its own: what a first one left is not written over.
quickstart: $(stamp)
	@out="$(QUICKSTART)"; number=2; \
	while [ -e "$$out" ]; do out="$(QUICKSTART)-$$number"; number=$$((number + 1)); done; \
	echo "$(bin)/zoo quickstart --out $$out"; \
	$(bin)/zoo quickstart --out "$$out"

test: $(stamp)
	$(bin)/python -m pytest -n $(TEST_WORKERS) --dist loadscope --no-loadscope-reorder

# The older of the two stacks: the last beside which the plugins of tensorflow-io load.
test-tf217:
	$(MAKE) test VENV=.venv-tf217 CONSTRAINTS=constraints-tf217.txt

lint: $(stamp)
	$(bin)/ruff check .
