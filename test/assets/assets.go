// SPDX-License-Identifier: Apache-2.0

// Package assets finds what `make cluster-assets` builds for tests: etcd, kube-apiserver, kubectl, Helm.
package assets

import (
	"os"
	"testing"
)

// Need is the folder that they are in.
func Need(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("KUBEBUILDER_ASSETS")
	if dir == "" {
		Lacks(t, "KUBEBUILDER_ASSETS is not set: `make test` builds them and sets it")
	}
	return dir
}

// Lacks skips a test for lack of something, but fails it in CI, where nothing is green for that.
func Lacks(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}
