# SPDX-License-Identifier: Apache-2.0
# The real Kubernetes that tests and the demo run on; see test/cluster/README.md.

CLUSTER = cd test/cluster && go run .

.PHONY: cluster-up
cluster-up: ## Boot a real Kubernetes on this machine (needs root on Linux)
	@$(CLUSTER) up

.PHONY: cluster-down
cluster-down: ## Stop it; nothing is left behind
	@$(CLUSTER) down

.PHONY: cluster-build
cluster-build: ## Build everything the cluster runs, from Go modules
	@$(CLUSTER) build

.PHONY: cluster-drill
cluster-drill: ## Boot and kill real clusters; nothing may be left behind (needs root)
	@cd test/cluster && CLUSTER_DRILL=1 go test -count 1 -timeout 20m -v -run TestNothingIsLeftBehind .

# Part of the end-to-end tests of the Makefile.
e2e: cluster-drill

.PHONY: cluster-assets
cluster-assets: ## Build what tests need: etcd, kube-apiserver, kubectl, helm, helm-unittest
	@$(CLUSTER) packages
	@$(CLUSTER) build --control-plane helm helm-unittest
