// SPDX-License-Identifier: Apache-2.0

package inject_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/startup"
)

func TestEveryReasonIsDocumentedOnce(t *testing.T) {
	source, err := os.ReadFile("reason.go")
	if err != nil {
		t.Fatal(err)
	}
	sites, err := os.ReadFile(filepath.Join("..", "endpoint", "command.go"))
	if err != nil {
		t.Fatal(err)
	}
	head, table, _ := strings.Cut(string(source), "var Vocabulary")
	constants := regexp.MustCompile(`(?m)^\t([A-Za-z]+) +Reason += "[^"]`)
	for _, m := range slices.Concat(constants.FindAllStringSubmatch(head, -1), constants.FindAllStringSubmatch(string(sites), -1)) {
		n := strings.Count(table, "{"+m[1]+",") + strings.Count(table, "{endpoint."+m[1]+",")
		if n != 1 && m[1] != "PlaceholderPresent" { // which is ours, and no reason for anything
			t.Errorf("%s is documented %d times", m[1], n)
		}
	}
	seen := map[inject.Reason]bool{}
	for _, e := range inject.Vocabulary {
		if seen[e.Reason] || e.Meaning == "" {
			t.Errorf("%q is documented twice or not at all", e.Reason)
		}
		seen[e.Reason] = true
	}
}

func TestFixturesGiveEveryReasonThatAPodCanHave(t *testing.T) {
	var given []inject.Reason
	for _, path := range fixtures(t) {
		_, d := inject.Pod(readFixture(t, path).request)
		for _, n := range d.Notes {
			given = append(given, n.Reason)
		}
	}
	// Given by the webhook, or covered by the tables of shell strings.
	elsewhere := []inject.Reason{
		inject.ReasonPanic, inject.ReasonUnreadable, inject.ReasonBreaker, endpoint.NestedShell, endpoint.Eval, endpoint.ShellSyntax,
		endpoint.DynamicCommand, endpoint.CommandSubstitution, endpoint.HereDocument, endpoint.KubeletExpansion, endpoint.ScriptUnknown,
		endpoint.Xtrace, endpoint.Confined, inject.ReasonOtherParser, inject.ReasonTooLarge, inject.ReasonOverloaded, inject.ReasonStarting, inject.ReasonDeadline,
		inject.ReasonWrapperTells, inject.ReasonLogTells, inject.ReasonLogsAlways, inject.ReasonLogsOff, inject.ReasonLogsForbidden, // of what happens later
	}
	for _, e := range inject.Vocabulary {
		if !slices.Contains(given, e.Reason) && !slices.Contains(elsewhere, e.Reason) {
			t.Errorf("no fixture has %s", e.Reason)
		}
	}
}

func TestReasonsPage(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(`<!-- Made of inject.Vocabulary and startup.Reasons by make golden. -->
# Reasons

## Of decisions

Every pod that coldtrace considers gets one decision. Its reasons are words of this list, in the annotation
` + "`coldtrace.io/status`" + `, in the Event on the owner, in the warning and audit annotation of the admission, as a label of the
metric, and in the log. A pod that was admitted as it came has no annotation: what is said of that stands in the others.

| reason | what it means | what to do |
|---|---|---|
`)
	for _, e := range inject.Vocabulary {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", e.Reason, e.Meaning, e.Advice)
	}
	b.WriteString(`
## Of phases that failed

The attribute ` + "`reason`" + ` of a span that failed, and the label of its metrics. Every other word is Kubernetes's or the runtime's own, such
as ` + "`OOMKilled` or `ImagePullBackOff`" + `.

| reason | what it means |
|---|---|
`)
	for _, m := range startup.Reasons {
		fmt.Fprintf(&b, "| `%s%s` | %s |\n", m.Kind, m.Code, m.Says)
	}
	path := filepath.Join("..", "docs", "reasons.md")
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, b.Bytes()) {
		t.Errorf("docs/reasons.md is stale (%v): make golden", err)
	}
}
