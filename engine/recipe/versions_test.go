// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The table is made of the recipes and of the logs that they are tried on; -update rewrites it.
func TestTheTableOfEnginesSaysWhatRecipesWereCheckedAgainst(t *testing.T) {
	const path, heading = "../../docs/engines.md", "| engine | texts looked up in the sources of | logs in the tests |\n|---|---|---|\n"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	logs := map[string][]string{}
	files, err := filepath.Glob("testdata/*.log")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		r := readLog(t, file)
		logs[r.Engine] = append(logs[r.Engine], cmp.Or(r.Version, "?"))
	}
	var rows strings.Builder
	for _, r := range recipes() {
		if r.sources == "" { // as another one
			continue
		}
		versions := slices.Compact(slices.SortedFunc(slices.Values(logs[r.name]), func(a, b string) int {
			v, _ := parseVersion(a)
			w, _ := parseVersion(b)
			return cmp.Or(slices.Compare(v[:], w[:]), cmp.Compare(a, b))
		}))
		seen := strings.TrimPrefix(strings.TrimPrefix(strings.Join(versions, ", "), "?"), ", ")
		if seen == "" {
			seen = map[bool]string{true: "of a version that they don't say", false: "none"}[len(versions) > 0]
		}
		fmt.Fprintf(&rows, "| `%s` | %s | %s |\n", r.name, r.sources, seen)
	}
	before, after, found := strings.Cut(string(text), heading)
	if !found {
		t.Fatalf("%s has no table", path)
	}
	end := strings.Index(after, "\n\n")
	if end < 0 {
		end = len(after) - 1
	}
	want := before + heading + rows.String() + after[end+1:]
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(text) {
		t.Errorf("%s is not what the recipes say (-update to rewrite):\n%s", path, rows.String())
	}
}
