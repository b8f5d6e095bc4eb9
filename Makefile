# What each target does is said behind its name; make lists them.
.DEFAULT_GOAL := help

# How long each fuzz target runs.
FUZZTIME ?= 5s
# Arguments of make run, make diff and make bench, such as ARGS=--secure-port=0.
ARGS ?=
# The API servers that make cluster-test tells its story to.
SERVERS ?= gatehouse,embedded

GO ?= go
# The tools are pinned in tools/go.mod; they run in the module of the current directory.
GOFUMPT = $(GO) tool -modfile=tools/go.mod gofumpt
STATICCHECK = tool -modfile=$(CURDIR)/tools/go.mod staticcheck -checks=all

.PHONY: help run build test unit stories check generate fuzz e2e cluster-test scale diff conformance cluster-conformance kubectl-suite bench profile clean

# Tests and checks compile every package once, without the profile that the executable is built with (docs/adr/0011-profile.md).
unit check fuzz: export GOFLAGS := $(GOFLAGS) -pgo=off

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

run: build ## build and serve on 127.0.0.1:6443 with everything in ./gatehouse-data
	./bin/gatehouse serve $(ARGS)

build: ## build bin/gatehouse
	$(GO) build -o bin/gatehouse ./cmd/gatehouse

test: unit stories ## run the tests of the main module and the stories with the real kubectl

unit: ## run the tests of the main module
	$(GO) test -race -shuffle=on -timeout=10m ./...

stories: ## run the stories of the README with the real kubectl
	$(GO) -C e2e test -shuffle=on -timeout=12m -run='^TestStories$$' .

check: ## format, vet, staticcheck, the picture of the packages, generated files, go.mod
	@test -z "$$($(GOFUMPT) -l . | tee /dev/stderr)" || { echo "these files need gofumpt" >&2; exit 1; }
	$(GO) vet ./...
	$(GO) -C e2e vet ./...
	$(GO) -C e2e/envtest vet ./...
	$(GO) -C bench vet ./...
	$(GO) $(STATICCHECK) ./...
	cd e2e && $(GO) $(STATICCHECK) . ./cluster ./diff ./cmd/diff ./soak ./kubeadm ./kubectlsuite ./wholecluster
	cd e2e/envtest && $(GO) $(STATICCHECK) .
	cd bench && $(GO) $(STATICCHECK) .
	$(GO) test ./internal/archtest ./internal/flags ./internal/openapi
	$(GO) mod tidy -diff
	$(GO) -C e2e mod tidy -diff
	$(GO) -C e2e/etcd mod tidy -diff
	$(GO) -C e2e/envtest mod tidy -diff
	$(GO) -C bench mod tidy -diff

# go mod tidy does not look at tools/go.work, which provides the main module there, so it is not run in tools. In e2e/kwok, which requires one module
# and has no code, it would download what the tests of kwok's dependencies need.

generate: ## write docs/flags.md and the OpenAPI documents
	$(GO) test ./internal/flags -run='^TestDocumentIsCurrent$$' -update
	$(GO) -C tools run ./openapi

fuzz: ## run every fuzz target for FUZZTIME
	@set -e; \
	for file in $$(grep -rl --include='*_test.go' --exclude-dir=e2e --exclude-dir=bench --exclude-dir=tools '^func Fuzz' . | sort); do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$file"); do \
			echo "$$target in $$(dirname "$$file")"; \
			$(GO) test -timeout=10m -run='^$$' -fuzz="^$$target$$" -fuzztime=$(FUZZTIME) "$$(dirname "$$file")"; \
		done; \
	done

e2e: ## compare with the real kube-apiserver and run all stories; the first time builds it, which takes minutes
	$(GO) -C e2e test -shuffle=on -timeout=30m ./...

cluster-test: ## run a whole cluster on Gatehouse: scheduler, controller manager and kwok; SERVERS=gatehouse,embedded,kube-apiserver
	GATEHOUSE_CLUSTER=$(SERVERS) $(GO) -C e2e test -count=1 -timeout=30m -v -run='^TestStory$$' ./wholecluster

scale: ## measure 1,000 pods over 20 nodes beside kube-apiserver, for docs/performance.md
	GATEHOUSE_SCALE=kube-apiserver,gatehouse $(GO) -C e2e test -count=1 -timeout=30m -v -run='^TestScale$$' ./wholecluster

diff: ## send the same requests to kube-apiserver and to Gatehouse and report differences; flags in ARGS, see e2e/README.md
	@$(GO) -C e2e run ./cmd/diff $(ARGS)

conformance: ## run Kubernetes' own conformance specs against kube-apiserver and Gatehouse; about a quarter of an hour
	GATEHOUSE_CONFORMANCE=1 $(GO) -C e2e test -count=1 -timeout=75m -v -run='^TestConformance$$' ./conformance

cluster-conformance: ## the same for specs that need nodes and controllers, on whole clusters with nodes by kwok; an hour and a half
	GATEHOUSE_CONFORMANCE=1 $(GO) -C e2e test -count=1 -timeout=150m -v -run='^TestClusterConformance$$' ./conformance

kubectl-suite: ## run Kubernetes' own integration tests of kubectl against kube-apiserver and Gatehouse; half an hour
	GATEHOUSE_KUBECTL_SUITE=1 $(GO) -C e2e test -count=1 -timeout=90m -v -run='^TestKubectlSuite$$' ./kubectlsuite

bench: ## measure against the real kube-apiserver; prints the table of docs/performance.md
	$(GO) -C bench run . $(ARGS)

# The profile is of the work that the benchmark measures. The executable is built without the profile of before.
profile: ## write cmd/gatehouse/default.pgo, by which the compiler decides what to inline; five minutes
	$(GO) build -tags=profile -pgo=off -o bin/gatehouse-profile ./cmd/gatehouse
	GATEHOUSE_CPU_PROFILE=$(CURDIR)/cmd/gatehouse/default.pgo $(GO) -C bench run . -servers=gatehouse -pods=1000 -rounds=6 \
		-gatehouse=$(CURDIR)/bin/gatehouse-profile -rows=get,list-json,list-protobuf,list-table,list-label,list-node,list-limit,create,patch,apply,watch

clean: ## remove what was built; gatehouse-data stays
	rm -rf bin
