// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// kubelet states the kubelet's rules anew: from the left, "$$" is a dollar, "$(NAME)" is NAME's value if it has one, and
// anything else stays.
func kubelet(s string, env map[string]string) string {
	at := strings.IndexByte(s, '$')
	if at < 0 || at == len(s)-1 {
		return s
	}
	head, next, tail := s[:at], s[at+1], s[at+2:]
	if next == '$' {
		return head + "$" + kubelet(tail, env)
	}
	if next != '(' {
		return s[:at+2] + kubelet(tail, env)
	}
	name, rest, closed := strings.Cut(tail, ")")
	if !closed {
		return head + "$(" + kubelet(tail, env)
	}
	if value, ok := env[name]; ok {
		return head + value + kubelet(rest, env)
	}
	return head + "$(" + name + ")" + kubelet(rest, env)
}

var expandEnv = []corev1.EnvVar{{Name: "A", Value: "old"}, {Name: "A", Value: "a value"}, {Name: "EMPTY"}}

func checkExpand(t *testing.T, s string) {
	t.Helper()
	c := &Container{Env: expandEnv}
	x := expand(s, c)
	if want := kubelet(s, map[string]string{"A": "a value", "EMPTY": ""}); x.text != want {
		t.Errorf("%q becomes %q, want %q", s, x.text, want)
	}
	for end := 1; end <= len(x.text); end++ {
		if from := x.source(end); from >= 0 && s[from-1] != x.text[end-1] {
			t.Errorf("%q: byte %d of %q does not come from %d", s, end-1, x.text, from-1)
		}
	}
}

func TestExpandDoesWhatTheKubeletDoes(t *testing.T) {
	for _, s := range []string{
		"", "$", "$$", "$$$", "$$$$", "$(", "$()", "$(A)", "$$(A)", "$$$(A)", "$(A", "$(A)$(A)", "$(EMPTY)x", "$(B)", "$((1+1))", "$(A$(A))", "a$b", "${A}", "$(date -u) $(A)",
		"x$(A)y$$z$(B)", "$(B", "$($(A)", "ü$(A)ü", "$", "a$", "$(A)$",
	} {
		checkExpand(t, s)
	}
}

func TestValuesThatAdmissionCannotSeeAreUnknown(t *testing.T) {
	c := &Container{Env: []corev1.EnvVar{{Name: "S", ValueFrom: &corev1.EnvVarSource{}}, {Name: "R", Value: "$(S)"}}, EnvFrom: []EnvFrom{{}}}
	for s, want := range map[string]bool{"$(S)": true, "$(R)": true, "$(FROM_CONFIGMAP)": true, "$(hostname)": false, "$(date -u)": false, "plain": false, "$$(S)": false} {
		x := expand(s, c)
		if x.unknown() != want {
			t.Errorf("%q is unknown: %v, want %v", s, x.unknown(), want)
		}
	}
	service := expand("$(REDIS_SERVICE_HOST) $(UPPER)", &Container{})
	if len(service.unknowns) != 1 {
		t.Errorf("services' variables: %+v", service)
	}
}

func FuzzExpand(f *testing.F) {
	f.Add("$(A) $$(A) $(B) $")
	f.Fuzz(checkExpand)
}
