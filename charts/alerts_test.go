// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// TestTheAlertsInTheDocumentationAreThoseOfTheRule: neither one too many nor one too few.
func TestTheAlertsInTheDocumentationAreThoseOfTheRule(t *testing.T) {
	names := func(path, pattern string) (out []string) {
		text, err := os.ReadFile(path)
		must(t, err)
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
			out = append(out, m[1])
		}
		slices.Sort(out)
		return out
	}
	created := names("coldtrace/templates/prometheusrule.yaml", `- alert: (\w+)`)
	told := names("../docs/dashboards.md", "(?m)^\\| `([A-Z]\\w+)` \\|")
	if len(created) == 0 || !slices.Equal(created, told) {
		t.Errorf("docs/dashboards.md has\n%q, the rule\n%q", told, created)
	}
}
