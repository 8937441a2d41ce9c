// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"regexp"
	"strings"
	"testing"
)

func TestThePageLooksAsItDid(t *testing.T) {
	traces, _ := Selection{}.Apply(load(t, "several"))
	got, err := Page(traces, traces[0])
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "several.html", string(got))
}

func TestThePageLoadsNothingAndRunsNothing(t *testing.T) {
	loads := regexp.MustCompile(`(?i)<(script|img|iframe|object|embed|base)\b|\b(src|srcset|action|on[a-z]+)\s*=|@import|url\(|href="[^"d]`)
	for _, fixture := range []string{"several", "hostile", "failed"} {
		traces := load(t, fixture)
		got, err := Page(traces, traces[0])
		if err != nil {
			t.Fatal(err)
		}
		// Text of spans is escaped, so what looks like a tag is one.
		if found := loads.Find(regexp.MustCompile(`&[#a-z0-9]+;[^<]*`).ReplaceAll(got, nil)); found != nil {
			t.Errorf("%s: the page has %q", fixture, found)
		}
		if !strings.Contains(string(got), `default-src 'none'`) {
			t.Errorf("%s: the page does not forbid itself to load anything", fixture)
		}
	}
}

func TestFailuresOnThePageAreWordsNotOnlyColours(t *testing.T) {
	traces := load(t, "failed")
	got, err := Page(traces, traces[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"failed after 3m 10s: cuda_out_of_memory, 2 attempts", "failed: cuda_out_of_memory", `lang="en"`, "prefers-color-scheme: dark", ":focus-visible"} {
		if !strings.Contains(string(got), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}
