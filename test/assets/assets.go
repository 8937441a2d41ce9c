// SPDX-License-Identifier: Apache-2.0

// Package assets finds what `make cluster-assets` builds for tests: etcd, kube-apiserver, kubectl, Helm.
package assets

import (
	"os"
	"testing"
)

// Need is the folder that they are in. Without it a test is skipped, but for CI, where nothing is green for lack of something.
func Need(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("KUBEBUILDER_ASSETS")
	const missing = "KUBEBUILDER_ASSETS is not set: `make test` builds them and sets it"
	if dir == "" && os.Getenv("CI") != "" {
		t.Fatal(missing)
	}
	if dir == "" {
		t.Skip(missing)
	}
	return dir
}
