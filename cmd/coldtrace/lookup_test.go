// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	server "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestExplainSaysThatARegistryWouldBeAskedAndAsksItWhenToldTo(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir()) // nobody's credentials
	hub := httptest.NewServer(server.New(server.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(hub.Close)
	image := strings.TrimPrefix(hub.URL, "http://") + "/vllm:1"
	ref, err := name.ParseReference(image)
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.Config(empty.Image, v1.Config{Entrypoint: []string{"vllm", "serve"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img); err != nil {
		t.Fatal(err)
	}
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(policy, []byte("registryLookup: true\nwrapper: {image: w:1}\notlp: {endpoint: 'http://c:4317'}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	manifest := func(image string) string {
		return "kind: Pod\nmetadata: {name: p, labels: {managed-by: model-engine}}\nspec:\n  containers:\n  - name: main\n    image: " + image +
			"\n    args: [a/b]\n    resources: {limits: {nvidia.com/gpu: 1}}\n"
	}
	for name, c := range map[string]struct {
		image string
		args  []string
		want  []string
	}{
		"not told to":         {image, []string{"--policy", policy}, []string{"the policy has the webhook ask the registry of " + image, "entrypoint-unknown"}},
		"told to":             {image, []string{"--policy", policy, "--lookup"}, []string{"told its ENTRYPOINT", "known-image", "vllm, server"}},
		"an image not there":  {image + "2", []string{"--policy", policy, "--lookup"}, []string{"does not tell its ENTRYPOINT", "entrypoint-unknown"}},
		"the policy does not": {image, []string{"--lookup"}, []string{"entrypoint-unknown"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := output(t, newExplainCommand(), manifest(c.image), append([]string{"-f", "-"}, c.args...)...)
			if err != nil {
				t.Fatal(err)
			}
			got = strings.Join(strings.Fields(got), " ") // whatever the width
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("it does not say %q:\n%s", want, got)
				}
			}
			if said := strings.Contains(got, "Registry look-up"); said != strings.Contains(strings.Join(c.args, " "), policy) {
				t.Errorf("a look-up is spoken of: %v\n%s", said, got)
			}
		})
	}
}
