// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const (
	securityDoc  = "../docs/security.md"
	rightsBegin  = "<!-- rights: begin -->\n"
	rightsEnd    = "<!-- rights: end -->"
	ownNamespace = "NAMESPACE"
)

// TestTheRightsInTheDocumentationAreThoseOfTheRoles makes the table of docs/security.md of the rendered roles.
func TestTheRightsInTheDocumentationAreThoseOfTheRoles(t *testing.T) {
	text, err := os.ReadFile(securityDoc)
	must(t, err)
	before, rest, ok := strings.Cut(string(text), rightsBegin)
	_, after, ok2 := strings.Cut(rest, rightsEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the rights", securityDoc)
	}
	want := before + rightsBegin + rights(t) + rightsEnd + after
	if *update {
		must(t, os.WriteFile(securityDoc, []byte(want), 0o644))
		text = []byte(want)
	}
	if string(text) != want {
		t.Errorf("%s is old: make golden\n%s", securityDoc, rights(t))
	}
}

// rights is a row for each rule of each role, with the comment above it in the template as the reason.
func rights(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("\n| where | resources | named | verbs | why |\n|---|---|---|---|---|\n")
	rows := map[string]bool{}
	docs := render(t, []string{everything, "pullSecretNamespaces={TEAM}", "logs.namespaces={TEAM}"}, "--namespace", ownNamespace)
	for _, doc := range append(docs, render(t, []string{everything, "logs.namespaces={*}"}, "--namespace", ownNamespace)...) {
		var role struct {
			Kind     string
			Metadata struct{ Namespace string }
			Rules    yaml.Node
		}
		must(t, yaml.Unmarshal(doc, &role))
		if role.Kind != "ClusterRole" && role.Kind != "Role" {
			continue
		}
		where := "cluster"
		if role.Kind == "Role" {
			where = "namespace " + role.Metadata.Namespace
		}
		why := "pull Secrets of this namespace's pods, by the names that pods give: they can't be listed"
		for _, node := range role.Rules.Content {
			if c := reason(node.HeadComment); c != "" {
				why = c
			}
			var rule struct {
				APIGroups     []string `yaml:"apiGroups"`
				Resources     []string `yaml:"resources"`
				ResourceNames []string `yaml:"resourceNames"`
				Verbs         []string `yaml:"verbs"`
			}
			must(t, node.Decode(&rule))
			named := "any"
			if len(rule.ResourceNames) > 0 {
				named = "`" + strings.Join(rule.ResourceNames, "`, `") + "`"
			}
			group := ""
			if g := strings.Join(rule.APIGroups, ", "); g != "" {
				group = "." + g
			}
			row := fmt.Sprintf("| %s | %s%s | %s | %s | %s |\n", where, strings.Join(rule.Resources, ", "), group, named, strings.Join(rule.Verbs, ", "), why)
			if !rows[row] {
				b.WriteString(row)
			}
			rows[row] = true
		}
	}
	if len(rows) < 8 {
		t.Fatalf("only %d rules", len(rows))
	}
	return b.String() + "\n"
}

var commentMark = regexp.MustCompile(`(?m)^\s*#\s*`)

// reason is a comment in one line, without the mark and the full stop at its end.
func reason(comment string) string {
	text := strings.Join(strings.Fields(commentMark.ReplaceAllString(comment, "")), " ")
	return strings.TrimSuffix(text, ".")
}
