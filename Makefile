# The one list of commands; CI calls these.  `make help` explains them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= python3
UV ?= uv
VENV := .venv
BIN := $(VENV)/bin
SAM := .venv-sam
INFRA := .venv-infra
TRAINING := .venv-training
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
WAV ?= assets/rain.wav
PICTURE ?= $(basename $(notdir $(WAV))).png
# The image: what builds it, where that works; its name; the base and the model in it; what else the build is told.
ENGINE ?= $(shell for tool in docker podman buildah; do $$tool info &> /dev/null && echo $$tool && break; done)
IMAGE ?= serverless-audio-classifier
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
BASE_IMAGE ?=
BUNDLE ?= compact
BUILD_OPTIONS ?=
# Where PyTorch for CPUs is; nowhere else is looked for it if empty.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
TORCH = -r requirements/torch.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
# The layers: where they are built, for which Lambda runtime.
BUILD ?= build
RUNTIME_PYTHON ?= 3.12
ARCHITECTURE ?= x86_64
# Training: the teacher's file, sounds of one's own, what else it is told.
TEACHER ?= yamnet.tflite
RECORDINGS ?=
TRAIN_OPTIONS ?=
# To the shell, whatever is in them.
export TEACHER RECORDINGS IMAGE BASE_IMAGE BUNDLE BUILD RUNTIME_PYTHON ARCHITECTURE

.PHONY: help classify plot invoke events serve lint lint-infra test test-e2e test-convert test-web test-training train train-quick check image test-image sam-local layers template-zip lock samples pictures demo-picture deviations bench bench-quick clean

help:  ## list the commands
	@sed -n 's/^\([a-z0-9-]*\):.*  ## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

classify: $(VENV)/.runtime  ## what is heard in WAV=...
	$(BIN)/audio-classifier classify "$(WAV)"

plot: $(VENV)/.plot  ## a picture of what is heard when in WAV=..., as PICTURE=...
	$(BIN)/audio-classifier plot "$(WAV)" --output "$(PICTURE)"

serve: $(VENV)/.serve  ## answer over HTTP on port 5000
	$(BIN)/audio-classifier serve

test: $(VENV)/.test  ## the tests that need no TensorFlow
	$(BIN)/python -m pytest -m "not convert and not e2e and not image and not infra and not sam and not training and not web"

test-e2e: $(VENV)/.test $(SAM)/.sam  ## the Lambda function under the real runtime client and emulator
	PATH="$(CURDIR)/$(SAM)/bin:$$PATH" $(BIN)/python -m pytest -m e2e

test-convert: $(VENV)/.convert  ## the tests that do: importing the published weights, parity with the original
	$(BIN)/python -m pytest -m convert

test-web: $(VENV)/.web  ## the two pages in a real browser (needs chromium)
	$(BIN)/python -m pytest -m web

test-training: $(TRAINING)/.training  ## those that need PyTorch, too: teacher, student, head and their training
	$(TRAINING)/bin/python -m pytest -m training tests/training

lint: $(VENV)/.test  ## style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

lint-infra: $(VENV)/.test $(INFRA)/.infra $(SAM)/.sam  ## the image's recipe and what deploys it (needs kubectl)
	$(INFRA)/bin/hadolint Dockerfile.lambda
	$(INFRA)/bin/python -W ignore::UserWarning -m tests.infra.manifest_lint
	$(INFRA)/bin/checkov --config-file infra/checkov-kubernetes.yaml
	SAM_CLI_TELEMETRY=0 $(SAM)/bin/sam validate
	SAM_CLI_TELEMETRY=0 $(SAM)/bin/sam validate --config-env zip
	$(BIN)/cfn-lint template.yaml infra/template-zip.yaml
	$(INFRA)/bin/checkov --config-file infra/checkov-sam.yaml
	PATH="$(CURDIR)/$(INFRA)/bin:$$PATH" $(BIN)/python -m pytest -m infra

check: lint test test-e2e test-convert  ## all of it, as CI does

image: $(if $(filter s3://%,$(BUNDLE)),$(VENV)/.lambda)  ## build IMAGE=... with the model BUNDLE=... for Lambda, Knative, Kubernetes and Docker
	$(if $(ENGINE),,$(error Neither docker nor podman nor buildah is here and works))
	rm -rf build/image
	$(if $(filter s3://%,$(BUNDLE)),PYTHON=$(BIN)/python layers/model/build.sh build/image "$$BUNDLE")
	BUILDX_NO_DEFAULT_ATTESTATIONS=1 $(ENGINE) build $(if $(filter docker,$(ENGINE)),,--format docker) \
	  --file Dockerfile.lambda --tag "$$IMAGE:$(VERSION)" --tag "$$IMAGE:latest" \
	  $(if $(BASE_IMAGE),--build-arg BASE_IMAGE) --build-arg BUNDLE="$(if $(filter s3://%,$(BUNDLE)),model,$$BUNDLE)" \
	  $(BUILD_OPTIONS) .

test-image: $(VENV)/.test $(SAM)/.sam  ## that image: over HTTP, under the Lambda emulator, stopped under load; and the layers
	$(if $(filter docker podman,$(ENGINE)),,$(error Neither docker nor podman is here and works))
	ENGINE=$(ENGINE) PATH="$(CURDIR)/$(SAM)/bin:$$PATH" \
	  $(BIN)/python -m pytest -m image

sam-local: $(VENV)/.test $(SAM)/.sam  ## `sam build`, `sam local invoke` and `sam local start-api`, with every kind of event
	$(if $(filter docker podman,$(ENGINE)),,$(error Neither docker nor podman is here and works))
	ENGINE=$(ENGINE) PATH="$(CURDIR)/$(SAM)/bin:$$PATH" $(BIN)/python -m pytest -m sam

layers: $(VENV)/.runtime  ## build/: the function for Lambda's zip packaging, and its layers with the model BUNDLE=...
	PYTHON=$(BIN)/python layers/zip.sh "$$BUILD" "$$RUNTIME_PYTHON" "$$ARCHITECTURE" "$$BUNDLE"

template-zip: $(VENV)/.python  ## make infra/template-zip.yaml from template.yaml
	$(BIN)/python infra/zip_template.py

lock:  ## resolve requirements/*.txt anew, with hashes (needs uv)
	requirements/lock.sh $(UV)

# Else glibc gives PyTorch's buffers back to the system at each step: a quarter of the time.
train: export MALLOC_MMAP_MAX_ := 0
train: export MALLOC_TRIM_THRESHOLD_ := 8589934592
train: $(TRAINING)/.training  ## the built-in bundle from nothing, in hours (TEACHER=yamnet.tflite, RECORDINGS=a folder)
	$(TRAINING)/bin/python -m training --teacher "$$TEACHER" $(if $(RECORDINGS),--recordings "$$RECORDINGS") $(TRAIN_OPTIONS)

train-quick: TRAIN_OPTIONS := --quick --work build/training-quick
train-quick: train  ## the same on a few clips, in minutes

samples: $(VENV)/.test  ## synthesise assets/*.wav anew (needs espeak-ng)
	$(BIN)/python assets/make_samples.py

pictures: $(VENV)/.test  ## draw docs/pictures/*.png anew
	$(BIN)/python assets/make_pictures.py

demo-picture: $(VENV)/.web  ## take docs/pictures/demo.png anew (needs chromium)
	$(BIN)/python -m tests.web.screenshot docs/pictures/demo.png

deviations: $(VENV)/.convert  ## measure the table in docs/deviations.md (PARITY=the folder of golden data)
	$(BIN)/python -m benchmarks.parity $(PARITY)

bench: $(VENV)/.bench  ## measure all in benchmarks/results.md, side by side with TensorFlow and PyTorch (twenty minutes)
	$(BIN)/python -m benchmarks --out benchmarks --document docs/performance.md

bench-quick: $(VENV)/.bench  ## each of it once, into build/bench
	$(BIN)/python -m benchmarks --rounds 1

invoke: $(VENV)/.test $(SAM)/.sam  ## what is heard in WAV=..., by the Lambda function under the real runtime
	PATH="$(CURDIR)/$(SAM)/bin:$$PATH" $(BIN)/python -m tests.e2e.runtime "$(WAV)"

events: $(VENV)/.runtime $(SAM)/.sam  ## write tests/events/*.json anew
	PATH="$(CURDIR)/$(SAM)/bin:$$PATH" SAM_CLI_TELEMETRY=0 $(BIN)/python tests/events/make_events.py

clean:  ## remove what was installed and built
	rm -rf $(VENV) $(SAM) $(INFRA) $(TRAINING) .aws-sam build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Each stage of the environment is a lock file installed by its hashes; all resolve to the same versions.
$(VENV)/.python:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.runtime: $(VENV)/.python requirements/build.txt requirements/runtime.txt pyproject.toml
	$(PIP) --require-hashes -r requirements/build.txt -r requirements/runtime.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.serve: $(VENV)/.runtime requirements/serve.txt
	$(PIP) --require-hashes -r requirements/serve.txt
	touch $@

$(VENV)/.lambda: $(VENV)/.runtime requirements/lambda.txt
	$(PIP) --require-hashes -r requirements/lambda.txt
	touch $@

$(VENV)/.test: $(VENV)/.runtime requirements/test.txt
	$(PIP) --require-hashes -r requirements/test.txt
	touch $@

$(VENV)/.plot: $(VENV)/.runtime requirements/plot.txt
	$(PIP) --require-hashes -r requirements/plot.txt
	touch $@

$(VENV)/.web: $(VENV)/.test requirements/web.txt
	$(PIP) --require-hashes -r requirements/web.txt
	touch $@

# All of its packages are in the lock file; pip, left to resolve, trips over their extras.
$(SAM)/.sam: requirements/sam.txt
	$(PYTHON) -m venv $(SAM)
	$(subst $(VENV),$(SAM),$(PIP)) --no-deps --require-hashes -r requirements/sam.txt
	touch $@

# All in lock files, too, but for what is never needed of it.
$(TRAINING)/.training: requirements/build.txt requirements/training.txt requirements/torch.txt pyproject.toml
	$(PYTHON) -m venv $(TRAINING)
	$(subst $(VENV),$(TRAINING),$(PIP)) --no-deps --require-hashes -r requirements/build.txt -r requirements/training.txt
	$(subst $(VENV),$(TRAINING),$(PIP)) --no-deps --require-hashes $(TORCH)
	$(subst $(VENV),$(TRAINING),$(PIP)) --no-deps --no-build-isolation --editable .
	touch $@

$(INFRA)/.infra: requirements/infra.txt
	$(PYTHON) -m venv $(INFRA)
	$(subst $(VENV),$(INFRA),$(PIP)) --no-deps --require-hashes -r requirements/infra.txt
	touch $@

# With TensorFlow, and with PyTorch where there is such a wheel.
$(VENV)/.bench: $(VENV)/.test requirements/training.txt requirements/torch.txt
	$(PIP) --no-deps --require-hashes -r requirements/training.txt
	-$(PIP) --no-deps --require-hashes $(TORCH)
	touch $@

$(VENV)/.convert: $(VENV)/.test requirements/convert.txt
	$(PIP) --require-hashes -r requirements/convert.txt
	touch $@
