// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/coldtrace/coldtrace/test/stage"
)

// block is one of a document's that a person types, line by line. One that needs what a release has uploaded is called bash there.
var block = regexp.MustCompile("(?s)\n```sh\n(.*?)```")

// TestTheCommandsOfTheDocuments types what the README's and docs/install.md's section on installing, and what follows it
// there, have people type, in that order, with names of this cluster in place of the examples'.
func TestTheCommandsOfTheDocuments(t *testing.T) {
	for _, file := range []string{"README.md", "docs/install.md"} {
		t.Run(file, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(on.Checkout(), file))
			if err != nil {
				t.Fatal(err)
			}
			images, _, _ := strings.Cut(string(text), "\n## Install\n")
			if file == "README.md" {
				images = "" // what comes before is the demo
			}
			_, install, found := strings.Cut(string(text), "\n## Install\n")
			if !found {
				t.Fatal("there is no section on installing")
			}
			if err := on.UninstallChart(t.Context()); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { reinstall(t) })
			typed := 0
			for _, m := range block.FindAllStringSubmatch(images+install, -1) {
				typed++
				mine := "TAG=" + on.Tag() + "\n" + ours.Replace(m[1])
				if out, err := on.Shell(t.Context(), mine); err != nil {
					t.Errorf("%s\n%s%v", mine, out, err)
				}
			}
			if typed < 1 {
				t.Error("no command is there to be typed")
			}
		})
	}
}

// ours are this cluster's names in place of the examples'.
var ours = strings.NewReplacer(
	"make images REGISTRY=registry.example.com/ml", `make images REGISTRY="$REGISTRY" TAG=$TAG`,
	"image.tag=dev", "image.tag=$TAG", "image.tag=TAG", "image.tag=$TAG",
	"wrapper:dev", "wrapper:$TAG", "wrapper:TAG", "wrapper:$TAG",
	"registry.example.com/ml", "registry.coldtrace.test",
	"collector.observability:4317", "$NODE_IP:4317",
	"namespace models ", "namespace "+labelled+" --overwrite ", "namespace NAME ", "namespace "+labelled+" --overwrite ",
	" --namespace "+stage.SystemNamespace+" --create-namespace", " --timeout 3m --namespace "+stage.SystemNamespace+" --create-namespace",
)
