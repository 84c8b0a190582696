# The commands of the project, which CI runs, too.  `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= python3
UV ?= uv
VENV := .venv
BIN := $(VENV)/bin
SAM := .venv-sam
INFRA := .venv-infra
LOAD := .venv-load
TRAINING := .venv-training
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
WAV ?= assets/rain.wav
PICTURE ?= $(basename $(notdir $(WAV))).png
# The image: the first build tool that works, its name, its base image, model and extras (nothing, or formats), and further
# options of the build.
ENGINE ?= $(shell for tool in docker podman buildah; do $$tool info &> /dev/null && echo $$tool && break; done)
IMAGE ?= serverless-audio-classifier
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
BASE_IMAGE ?=
BUNDLE ?= compact
# The bundle if it is in S3 or in a folder, whose path must contain a slash: `make image` copies it to build/image.
COPIED_BUNDLE = $(or $(filter s3://%,$(BUNDLE)),$(if $(findstring /,$(BUNDLE)),$(wildcard $(BUNDLE)/manifest.json)))
EXTRAS ?=
BUILD_OPTIONS ?=
# The additional index with PyTorch's wheels for CPUs; if empty, only pip's default index is searched.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
TORCH = -r requirements/torch.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
# The layers: the folder that they are built in, and the Lambda runtime that they are built for, by default the image's.
BUILD ?= build
RUNTIME_PYTHON ?= $(shell sed -n 's/^ARG BASE_IMAGE=.*python:\([0-9.]*\).*/\1/p' Dockerfile.lambda)
ARCHITECTURE ?= x86_64
# Training: the teacher's file, the bundle of the second teacher, a folder with recordings of your own, and further options.
TEACHER ?= yamnet.tflite
CLIP_TEACHER ?=
RECORDINGS ?=
TRAIN_OPTIONS ?=
# The tests that `make test` runs, by default all.
TESTS ?=
# Fuzzing and injecting faults: the time, and the seed that determines the inputs and faults; FAULTS=long for an hour of faults.
SECONDS ?= 60
SEED ?= 1
FAULTS ?=
# The load test: the deployment's address, its access (NONE, JWT with a token in LOAD_TOKEN, or IAM), and the users over time.
URL ?=
ACCESS ?= NONE
STAGES ?= 2m:4
LOAD_OPTIONS ?=
# Exported, so that recipes can quote values with spaces or other special characters.
export TEACHER CLIP_TEACHER RECORDINGS URL ACCESS STAGES IMAGE BASE_IMAGE BUNDLE EXTRAS BUILD RUNTIME_PYTHON ARCHITECTURE

.PHONY: help classify plot invoke events serve lint lint-infra load load-quick test test-e2e test-faults test-arm64 test-convert test-web test-training train train-quick check image test-image sam-local layers template-zip lock samples outputs pictures demo-picture formats costs deviations bench bench-models bench-quick clean

help:  ## list all commands
	@sed -n 's/^\([a-z0-9-]*\):.*  ## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

classify: $(VENV)/.runtime  ## classify the recording WAV=...
	$(BIN)/audio-classifier classify "$(WAV)"

plot: $(VENV)/.plot  ## draw the timeline of the recording WAV=... as PICTURE=...
	$(BIN)/audio-classifier plot "$(WAV)" --output "$(PICTURE)"

serve: $(VENV)/.serve  ## start the HTTP server on port 5000
	$(BIN)/audio-classifier serve

test: $(VENV)/.test  ## run the tests that need only the packages of requirements/test.txt
	$(BIN)/python -m pytest $(TESTS) --numprocesses auto --dist loadfile -m "not arm64 and not convert and not e2e and not image and not infra and not load and not sam and not training and not web"

test-e2e: $(VENV)/.test $(SAM)/.sam  ## test the Lambda function under AWS's runtime client and emulator
	PATH="$(CURDIR)/$(SAM)/bin:$$PATH" $(BIN)/python -m pytest -m e2e

test-faults: $(VENV)/.test  ## inject faults for up to four minutes, or with FAULTS=long for an hour, and print a table
	$(if $(filter-out long,$(FAULTS)),$(error FAULTS must be long or empty, got $(FAULTS)))
	PYTHONPATH=. $(BIN)/python -m tests.faults --seed $(SEED) $(if $(FAULTS),--long)

test-arm64: $(VENV)/.test  ## compare the answers on emulated arm64 and x86-64 CPUs (needs Debian on x86-64, and root)
	PYTHON=$(BIN)/python tests/arm64/make_root.sh build/arm64
	$(BIN)/python -m pytest -m arm64 tests/arm64

test-convert: $(VENV)/.convert  ## run the tests that need TensorFlow: import of the published weights, parity with the original
	$(BIN)/python -m pytest -m convert

test-web: $(VENV)/.web  ## test the two web pages in a browser (needs chromium)
	$(BIN)/python -m pytest -m web

test-training: $(TRAINING)/.training  ## run the tests that need PyTorch: teacher, student, head and their training
	$(TRAINING)/bin/python -m pytest -m training tests/training

fuzz: $(VENV)/.test  ## read mutated audio files for SECONDS=... with SEED=...; findings are saved in build/fuzz
	OPENBLAS_NUM_THREADS=1 PYTHONPATH=. nice -n 15 $(BIN)/python -m tests.fuzz --seconds $(SECONDS) --seed $(SEED)

lint: $(VENV)/.test  ## check style, types and the imports between packages
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

lint-infra: $(VENV)/.test $(INFRA)/.infra $(SAM)/.sam  ## check the Dockerfile, the templates and the manifests (needs kubectl)
	$(INFRA)/bin/hadolint Dockerfile.lambda
	$(INFRA)/bin/python -W ignore::UserWarning -m tests.infra.manifest_lint
	$(INFRA)/bin/checkov --config-file infra/checkov-kubernetes.yaml
	SAM_CLI_TELEMETRY=0 $(SAM)/bin/sam validate
	SAM_CLI_TELEMETRY=0 $(SAM)/bin/sam validate --config-env zip
	$(BIN)/cfn-lint template.yaml infra/template-zip.yaml infra/examples/*.yaml
	$(INFRA)/bin/checkov --config-file infra/checkov-sam.yaml
	PATH="$(CURDIR)/$(INFRA)/bin:$$PATH" $(BIN)/python -m pytest -m infra

load: $(LOAD)/.load  ## load the deployment URL=... with the users STAGES=...; infra/load/README.md describes the options
	$(if $(URL),,$(error URL must be the address of a deployment, for example http://localhost:5000, got none))
	PYTHONPATH=. $(LOAD)/bin/locust -f infra/load/locustfile.py --headless --only-summary --loglevel WARNING --stop-timeout 60 \
	  --host "$$URL" --access "$$ACCESS" --stages "$$STAGES" $(LOAD_OPTIONS)

load-quick: $(VENV)/.test $(LOAD)/.load  ## test the load test against a server, for seconds
	PATH="$(CURDIR)/$(LOAD)/bin:$$PATH" $(BIN)/python -m pytest -m load

check: lint test test-e2e test-faults test-convert  ## run lint, test, test-e2e, test-faults and test-convert

image: $(if $(filter s3://%,$(BUNDLE)),$(VENV)/.lambda,$(if $(COPIED_BUNDLE),$(VENV)/.runtime))  ## build the image IMAGE=... with the model BUNDLE=... and EXTRAS=formats or none, for Lambda, Knative, Kubernetes and Docker
	$(if $(ENGINE),,$(error `make image` needs docker, podman or buildah, and found none that works))
	rm -rf build/image
	$(if $(COPIED_BUNDLE),PYTHON=$(BIN)/python layers/model/build.sh build/image "$$BUNDLE")
	BUILDX_NO_DEFAULT_ATTESTATIONS=1 $(ENGINE) build $(if $(filter docker,$(ENGINE)),,--format docker) \
	  --file Dockerfile.lambda --tag "$$IMAGE:$(VERSION)" --tag "$$IMAGE:latest" \
	  $(if $(BASE_IMAGE),--build-arg BASE_IMAGE) --build-arg BUNDLE="$(if $(COPIED_BUNDLE),model,$$BUNDLE)" \
	  $(if $(EXTRAS),--build-arg EXTRAS) $(BUILD_OPTIONS) .

test-image: $(VENV)/.test $(SAM)/.sam  ## test the image over HTTP and under the Lambda emulator, and the layers
	$(if $(filter docker podman,$(ENGINE)),,$(error `make test-image` needs docker or podman, and found none that works))
	ENGINE=$(ENGINE) PATH="$(CURDIR)/$(SAM)/bin:$$PATH" \
	  $(BIN)/python -m pytest -m image

sam-local: $(VENV)/.test $(SAM)/.sam  ## test `sam build`, `sam local invoke` and `sam local start-api` with every kind of event
	$(if $(filter docker podman,$(ENGINE)),,$(error `make sam-local` needs docker or podman, and found none that works))
	ENGINE=$(ENGINE) PATH="$(CURDIR)/$(SAM)/bin:$$PATH" $(BIN)/python -m pytest -m sam

layers: $(VENV)/.runtime  ## build the function for Lambda's zip packaging and its layers, with the model BUNDLE=..., in build/
	PYTHON=$(BIN)/python layers/zip.sh "$$BUILD" "$$RUNTIME_PYTHON" "$$ARCHITECTURE" "$$BUNDLE"

template-zip: $(VENV)/.python  ## generate infra/template-zip.yaml from template.yaml
	$(BIN)/python infra/zip_template.py

lock:  ## update the lock files requirements/*.txt (needs uv)
	requirements/lock.sh $(UV)

# Otherwise glibc returns PyTorch's buffers to the system at each step, which takes a quarter of the time.
train: export MALLOC_MMAP_MAX_ := 0
train: export MALLOC_TRIM_THRESHOLD_ := 8589934592
# numpy's BLAS leaves the CPUs to PyTorch.
train: export OPENBLAS_NUM_THREADS := 1
train: $(TRAINING)/.training  ## train the built-in bundle from scratch, in hours (TEACHER=yamnet.tflite, CLIP_TEACHER=a bundle, RECORDINGS=a folder)
	$(TRAINING)/bin/python -m training --teacher "$$TEACHER" $(if $(CLIP_TEACHER),--clip-teacher "$$CLIP_TEACHER") \
	  $(if $(RECORDINGS),--recordings "$$RECORDINGS") $(TRAIN_OPTIONS)

train-quick: TRAIN_OPTIONS := --quick --work build/training-quick
train-quick: train  ## run the training on a few clips, in minutes

samples: $(VENV)/.test  ## synthesise the sample recordings assets/*.wav again (needs espeak-ng)
	$(BIN)/python assets/make_samples.py

outputs: $(VENV)/.test  ## write tests/inference/outputs.csv, the built-in bundle's answers for assets/*.wav, again
	PYTHONPATH=. $(BIN)/python -m tests.inference.outputs

pictures: $(VENV)/.test  ## redraw docs/pictures/*.png, and the table of docs/models.md
	$(BIN)/python assets/make_pictures.py
	$(BIN)/python -m benchmarks.model_report

demo-picture: $(VENV)/.web  ## take the screenshot docs/pictures/demo.png again (needs chromium)
	$(BIN)/python -m tests.web.screenshot docs/pictures/demo.png

formats: $(VENV)/.test  ## measure the table in docs/formats.md
	PYTHONPATH=. $(BIN)/python -m tests.docs.format_table docs/formats.md

costs: $(VENV)/.test  ## compute the tables in docs/costs.md
	PYTHONPATH=. $(BIN)/python -m benchmarks.cost_report docs/costs.md

deviations: $(VENV)/.convert  ## measure the table in docs/deviations.md (PARITY=the folder of golden data)
	$(BIN)/python -m benchmarks.parity $(PARITY)

bench: $(VENV)/.bench  ## run all benchmarks and update benchmarks/results.md, with TensorFlow and PyTorch (twenty minutes)
	$(BIN)/python -m benchmarks --out benchmarks --document docs/performance.md
	$(BIN)/python -m benchmarks.models
	$(BIN)/python -m benchmarks.model_report

bench-models: $(VENV)/.convert  ## measure only sizes and times of all models, and update docs/models.md
	$(BIN)/python -m benchmarks.models
	$(BIN)/python -m benchmarks.model_report

bench-quick: $(VENV)/.bench  ## run each benchmark once, with results in build/bench
	$(BIN)/python -m benchmarks --rounds 1

invoke: $(VENV)/.test $(SAM)/.sam  ## classify the recording WAV=... with the Lambda function under AWS's runtime client and emulator
	PATH="$(CURDIR)/$(SAM)/bin:$$PATH" $(BIN)/python -m tests.e2e.runtime "$(WAV)"

events: $(VENV)/.runtime $(SAM)/.sam  ## generate the sample events tests/events/*.json
	PATH="$(CURDIR)/$(SAM)/bin:$$PATH" SAM_CLI_TELEMETRY=0 $(BIN)/python tests/events/make_events.py

clean:  ## remove all environments and build outputs
	rm -rf $(VENV) $(SAM) $(INFRA) $(LOAD) $(TRAINING) .aws-sam build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Each stage of the environment installs one lock file, with hashes; all lock files have the same versions.
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

# Without dependency resolution: the lock file has all packages, and pip fails to resolve their extras.
$(SAM)/.sam: requirements/sam.txt
	$(PYTHON) -m venv $(SAM)
	$(subst $(VENV),$(SAM),$(PIP)) --no-deps --require-hashes -r requirements/sam.txt
	touch $@

# Without dependency resolution: the lock files leave out dependencies that this project does not use.
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

$(LOAD)/.load: requirements/load.txt
	$(PYTHON) -m venv $(LOAD)
	$(subst $(VENV),$(LOAD),$(PIP)) --require-hashes -r requirements/load.txt
	touch $@

# With TensorFlow, and with PyTorch if its wheel can be installed on this machine.
$(VENV)/.bench: $(VENV)/.test requirements/training.txt requirements/torch.txt
	$(PIP) --no-deps --require-hashes -r requirements/training.txt
	-$(PIP) --no-deps --require-hashes $(TORCH)
	touch $@

$(VENV)/.convert: $(VENV)/.test requirements/convert.txt
	$(PIP) --require-hashes -r requirements/convert.txt
	touch $@
