// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/webhook"
)

var update = flag.Bool("update", false, "rewrite docs/reasons.md")

func TestEveryReasonOfTheWebhookIsDocumentedOnce(t *testing.T) {
	source, err := os.ReadFile("reason.go")
	if err != nil {
		t.Fatal(err)
	}
	head, table, _ := strings.Cut(string(source), "var Vocabulary")
	constants := regexp.MustCompile(`(?m)^\t(Reason[A-Za-z]+) +inject\.Reason`).FindAllStringSubmatch(head, -1)
	if len(constants) == 0 || len(constants) != len(webhook.Vocabulary) {
		t.Errorf("%d reasons, %d of them documented", len(constants), len(webhook.Vocabulary))
	}
	for _, m := range constants {
		if n := strings.Count(table, "{Reason: "+m[1]+","); n != 1 {
			t.Errorf("%s is documented %d times", m[1], n)
		}
	}
}

func TestTheTwoVocabulariesAreDisjoint(t *testing.T) {
	seen := map[inject.Reason]bool{}
	for _, v := range [][]inject.Explanation{inject.Vocabulary, webhook.Vocabulary} {
		for _, e := range v {
			if seen[e.Reason] || e.Meaning == "" {
				t.Errorf("%q is documented twice or not at all", e.Reason)
			}
			seen[e.Reason] = true
		}
	}
}

func TestReasonsPage(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(`<!-- Made of inject.Vocabulary and webhook.Vocabulary by make golden. -->
# Reasons

Every pod that coldtrace considers gets one decision. Its reasons are words of these lists, in the annotation
` + "`coldtrace.io/status`" + `, in the Event on the owner, in the warning and audit annotation of the admission, as a label of the
metric, and in the log.

## Of the decision

`)
	writeTable(&b, inject.Vocabulary)
	b.WriteString(`
## Of the webhook

These are about the admission, not the pod. A pod that was admitted as it came has no annotation: they are in the
warning, the audit annotation, the metric and the log.

`)
	writeTable(&b, webhook.Vocabulary)
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

func writeTable(b *bytes.Buffer, vocabulary []inject.Explanation) {
	b.WriteString("| reason | what it means | what to do |\n|---|---|---|\n")
	for _, e := range vocabulary {
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", e.Reason, e.Meaning, e.Advice)
	}
}
