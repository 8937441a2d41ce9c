// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coldtrace/coldtrace/test/stage"
)

// remains are the names of all objects in the release's namespace and of all others that carry its name, except Events,
// which the cluster forgets by itself.
func remains(t *testing.T) []string {
	t.Helper()
	kinds := func(scope string) string {
		names := strings.Fields(kubectl(t, "api-resources", "--verbs=list", "--output=name", "--namespaced="+scope))
		return strings.Join(slices.DeleteFunc(names, func(n string) bool { return strings.HasPrefix(n, "events") }), ",")
	}
	names := strings.Fields(kubectl(t, "get", kinds("true"), "--ignore-not-found", "--output=name"))
	for _, name := range strings.Fields(kubectl(t, "get", kinds("false"), "--ignore-not-found", "--output=name")) {
		if strings.Contains(name, stage.Release) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// awaitRemains waits until there is what was there before, and nothing else; nil: until nothing of a release is left.
func awaitRemains(t *testing.T, before []string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		now := remains(t)
		ours := slices.ContainsFunc(now, func(name string) bool {
			return strings.Contains(name, stage.Release) && !strings.HasSuffix(name, "/"+stage.SystemNamespace)
		})
		if before == nil && !ours || before != nil && slices.Equal(now, before) {
			return now
		}
		select {
		case <-ctx.Done():
			t.Fatalf("after the uninstall there is %v, before the installation there was %v", now, before)
		case <-look.C:
		}
	}
}
