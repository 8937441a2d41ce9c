// SPDX-License-Identifier: Apache-2.0

package inject_test

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/coldtrace/coldtrace/startup"
)

// kubeletExpand states the kubelet's rules for $(NAME) in command, args and env anew, so that the code under test is
// not checked with itself: the first of "$$" and "$(NAME)" from the left counts; "$$" is a dollar; a reference that
// has no value stays as it is; an unclosed one too.
func kubeletExpand(s string, env map[string]string) string {
	for i := range len(s) - 1 {
		if s[i] != '$' {
			continue
		}
		head, tail := s[:i], s[i+2:]
		switch s[i+1] {
		case '$':
			return head + "$" + kubeletExpand(tail, env)
		case '(':
			name, rest, closed := strings.Cut(tail, ")")
			if !closed {
				return head + "$(" + kubeletExpand(tail, env)
			}
			value, known := env[name]
			if !known {
				value = "$(" + name + ")"
			}
			return head + value + kubeletExpand(rest, env)
		default:
			return head + s[i:i+2] + kubeletExpand(tail, env)
		}
	}
	return s
}

var reference = regexp.MustCompile(`\$\(([A-Za-z_][A-Za-z0-9_]*)\)`)

func TestTheKubeletResolvesEveryReferenceThatIsAddedAndNoOther(t *testing.T) {
	for _, path := range fixtures(t) {
		f := readFixture(t, path)
		after, _ := apply(t, f)
		var before, pod corev1.Pod
		if json.Unmarshal(f.raw, &before) != nil || json.Unmarshal(after, &pod) != nil {
			t.Fatalf("%s does not decode", path)
		}
		for i, c := range pod.Spec.Containers {
			had := before.Spec.Containers[i]
			env, own := map[string]string{}, map[string]bool{}
			for _, e := range had.Env {
				own[e.Name] = true
			}
			for _, e := range c.Env {
				value := kubeletExpand(e.Value, env)
				if !own[e.Name] && reference.MatchString(value) && !strings.Contains(e.Value, "$$") {
					t.Errorf("%s: %s keeps a reference: %s", filepath.Base(path), e.Name, value)
				}
				if e.ValueFrom != nil {
					value = "from-elsewhere"
				}
				env[e.Name] = value
			}
			if strings.HasSuffix(path, "dollar-in-label.yaml") && c.Name == "main" && env[startup.EnvEndpointName] != "a$(b)$c" {
				t.Errorf("the endpoint's name arrives as %q", env[startup.EnvEndpointName])
			}
			// What the pod's own words come to must be what it was, but for what was added.
			was := map[string]string{}
			for _, e := range had.Env {
				was[e.Name] = kubeletExpand(e.Value, was)
				if e.ValueFrom != nil {
					was[e.Name] = "from-elsewhere"
				}
			}
			now := append(append([]string{}, c.Command...), c.Args...)
			for _, word := range append(append([]string{}, had.Command...), had.Args...) {
				want := kubeletExpand(word, was)
				found := false
				for _, w := range now {
					got := strings.Replace(kubeletExpand(w, env), startup.VLLMExecPlaceholder+" ", "", 1)
					got = strings.Replace(got, ` "`+startup.VLLMTracesFlag+"="+env[startup.EnvOTLPEndpoint]+`"`, "", 1)
					found = found || got == want
				}
				if !found {
					t.Errorf("%s: no word comes to %q any more", filepath.Base(path), want)
				}
			}
			for _, w := range now {
				if left := kubeletExpand(w, env); strings.Contains(left, startup.VLLMTracesFlag+"=$(") {
					t.Errorf("%s: the flag's reference is not resolved: %s", filepath.Base(path), left)
				}
			}
		}
	}
}
