// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/client-go/kubernetes/scheme"
)

// podKinds are those in which pods are looked for.
func podKinds() string {
	return strings.Join(slices.Sorted(maps.Keys(templatePaths)), ", ") + " and List"
}

// builtIn tells whether the API server has a kind of its own by that name, which Deploymnet is not.
func builtIn(kind string) bool {
	for known := range scheme.Scheme.AllKnownTypes() {
		if known.Kind == kind {
			return true
		}
	}
	return false
}

// seenKinds are those of the objects in manifests, each once.
func seenKinds(manifests []manifest) (kinds []string) {
	for _, m := range manifests {
		for _, kind := range m.kinds {
			if called := calledKind(kind); !slices.Contains(kinds, called) {
				kinds = append(kinds, called)
			}
		}
	}
	return kinds
}

func calledKind(kind string) string {
	if kind == "" {
		return "none (an object has no kind)"
	}
	return kind
}

// unknownKinds says of each kind that is neither the API server's nor known to hold pods that nothing is done to it.
func unknownKinds(manifests []manifest) (warnings []string) {
	for _, kind := range seenKinds(manifests) {
		if templatePaths[kind] == nil && !builtIn(kind) {
			warnings = append(warnings, fmt.Sprintf("kind %s is not known, so that object is left as it is; pods are looked for in %s", kind, podKinds()))
		}
	}
	return warnings
}
