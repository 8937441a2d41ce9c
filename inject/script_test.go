// SPDX-License-Identifier: Apache-2.0

package inject_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/syntax"

	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/startup"
)

// scripts makes shell scripts of the parts that people put around a server.
type scripts struct{ rand *rand.Rand }

func (s scripts) pick(of ...string) string { return of[s.rand.IntN(len(of))] }

func (s scripts) maybe(text string) string {
	if s.rand.IntN(2) == 0 {
		return ""
	}
	return text
}

// script is a whole string for bash -c.
func (s scripts) script() string {
	var b strings.Builder
	b.WriteString(s.maybe(s.pick("set -euo pipefail;", "set -e\n", "set -u; ", "shopt -s failglob; ", "IFS=$'\\t'; ", "set -f;", "trap 'echo bye' EXIT;")))
	for range s.rand.IntN(3) {
		b.WriteString(s.filler() + s.pick(";", "\n", " ; "))
	}
	b.WriteString(s.around(s.server()))
	b.WriteString(s.pick("", "", ";", "\n", " # done", "; echo after $?", " & wait $!; echo waited", "\n\n#x"))
	return b.String()
}

func (s scripts) filler() string {
	return s.pick(
		`echo one`, `echo "a;b" 'c d'`, `X=1`, `export Y="a b"`, `echo "${X:-none}"`, `true && echo yes || echo no`, `f() { echo "f $@"; }; f 1 2`,
		"cat <<EOF\nhere $((1+2)) ${X:-x}\nEOF", `echo $(echo sub | tr a-z A-Z)`, `for i in 1 2; do echo $i; done`, `# a comment with python -m vllm_server`,
		`case a in a) echo A ;; esac`, `[ -d / ] && echo dir`, `printf '%s\n' "x y"`, `echo \
 continued`, `if true; then echo t; else echo f; fi`, `{ echo g; }`, `( echo h )`, `echo "it's"`, `arr=(a 'b c'); echo "${arr[@]}"`, `echo $'tab\t'`, `let n=1+1 || :`, `((n = 2)); echo $n`,
	)
}

func (s scripts) server() string {
	return s.maybe("A=1 ") +
		s.maybe(s.pick("exec ", "nohup ", "env B=2 ", "nice -n 1 ", "timeout 60 ", "command ")) +
		s.pick("python -m vllm_server", "python3 -u -m vllm.entrypoints.openai.api_server", "vllm serve", "python -m 'vllm_server'", `python -m "vllm_server"`, "vllm \\\n serve") +
		s.pick(" --model m", " m", "", " \\\n --port 1", ` --json '{"a": "b;c|d", "e": ["*"]}'`, ` --host "::"`, " --x $X_UNSET_OK", ` "$@"`, ` --n $((2*3))`, " --t \"$(echo $'a\\tb')\"") +
		s.maybe(" --port 5005") + s.maybe(" 2>&1") + s.maybe(s.pick(" | cat", " > /dev/null", " | tee /dev/null | cat -n", " || echo failed $?", " && echo fine"))
}

func (s scripts) around(server string) string {
	return fmt.Sprintf(s.pick("%s", "%s", "%s", "if true; then %s\nfi", "( %s\n)", "{ %s\n}", "run() { %s\n}; run a 'b c'", "for i in 1 2; do %s\ndone", "case x in x) %s\n;; esac", "while :; do %s\nbreak; done", "! %s", "time -p %s", "coproc %s"), server)
}

// edit is a script as injection leaves it.
func edit(t testing.TB, script string) (string, inject.Decision) {
	t.Helper()
	got, decision := edited(t, gpuPod([]string{"/bin/bash", "-c", script}, nil), "")
	return got[len(got)-1], decision
}

func TestBashDoesTheSameWithAndWithoutAnEmptyPlaceholder(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash")
	}
	count := 120
	if n, err := strconv.Atoi(os.Getenv("COLDTRACE_SCRIPTS")); err == nil {
		count = n
	}
	bin := t.TempDir()
	const fake = "#!/bin/sh\nfor a in \"$0\" \"$@\"; do printf '<%s>' \"$a\"; done; echo\nexit 3\n"
	for _, name := range []string{"python", "python3", "vllm"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(fake), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run := func(script string, env ...string) string {
		cmd := exec.CommandContext(t.Context(), bash, "-c", script)
		cmd.Dir = bin
		cmd.Env = append([]string{"PATH=" + bin + ":/usr/bin:/bin", "X_UNSET_OK=v"}, env...)
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		err := cmd.Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		// Times and process ids differ from run to run; the line of an error message names the script's text nowhere.
		return fmt.Sprintf("exit %d\n%s", cmd.ProcessState.ExitCode(), out.String()) + withoutTimes(errs.String())
	}
	gen := scripts{rand.New(rand.NewPCG(1, 2))}
	editedCount := 0
	for range count {
		script := gen.script()
		after, _ := edit(t, script)
		if after == script {
			continue
		}
		editedCount++
		if want, got := run(script), run(after); want != got {
			t.Fatalf("script\n%s\nedited\n%s\nwithout %s\nwith %s", script, after, want, got)
		}
		flag := "--otlp-traces-endpoint=http://[::1]:4317"
		if got := run(after, startup.EnvVLLMArgs+"="+flag); strings.Contains(run(script), "<--") && !strings.Contains(got, "<"+flag+">") && !strings.Contains(script, "/dev/null") {
			t.Fatalf("script\n%s\ndoes not hand over the flag:\n%s", after, got)
		}
	}
	if editedCount < count/2 {
		t.Errorf("only %d of %d scripts were edited", editedCount, count)
	}
	t.Logf("%d scripts, %d edited", count, editedCount)
}

func withoutTimes(s string) string {
	var out []string
	for line := range strings.Lines(s) {
		if !strings.HasPrefix(line, "real ") && !strings.HasPrefix(line, "user ") && !strings.HasPrefix(line, "sys ") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

// callWords are the words of every simple command of a script, as they are written.
func callWords(script string, lang syntax.LangVariant) ([][]string, error) {
	file, err := syntax.NewParser(syntax.Variant(lang)).Parse(strings.NewReader(script), "")
	if err != nil {
		return nil, err
	}
	var calls [][]string
	syntax.Walk(file, func(n syntax.Node) bool {
		if call, ok := n.(*syntax.CallExpr); ok {
			var words []string
			for _, w := range call.Args {
				words = append(words, script[w.Pos().Offset():w.End().Offset()])
			}
			calls = append(calls, words)
		}
		return true
	})
	return calls, nil
}

// checkWords says what is wrong with an edit, empty if nothing is.
func checkWords(before, after string) string {
	if strings.Replace(after, " "+startup.VLLMArgsPlaceholder, "", 1) != before {
		return "more than the placeholder changed"
	}
	// The shell sees what the kubelet makes of both.
	before, after = kubeletExpand(before, nil), kubeletExpand(after, nil)
	was, err := callWords(before, syntax.LangBash)
	if err != nil {
		return "an unreadable script was edited: " + err.Error()
	}
	is, err := callWords(after, syntax.LangBash)
	if err != nil {
		return "the edited script is unreadable: " + err.Error()
	}
	if len(was) != len(is) {
		return fmt.Sprintf("%d simple commands became %d", len(was), len(is))
	}
	changed := 0
	for i := range was {
		if slices.Equal(was[i], is[i]) {
			continue
		}
		changed++
		at := slices.Index(is[i], startup.VLLMArgsPlaceholder)
		if at < 0 || !slices.Equal(was[i], slices.Delete(slices.Clone(is[i]), at, at+1)) {
			return fmt.Sprintf("%q became %q", was[i], is[i])
		}
	}
	if changed != 1 && !strings.Contains(before, startup.VLLMArgsPlaceholder) {
		return fmt.Sprintf("%d simple commands changed", changed)
	}
	return ""
}

func FuzzShellStringKeepsItsWords(f *testing.F) {
	gen := scripts{rand.New(rand.NewPCG(3, 4))}
	for range 100 {
		f.Add(gen.script())
	}
	f.Fuzz(func(t *testing.T, script string) {
		if after, _ := edit(t, script); after != script {
			if problem := checkWords(script, after); problem != "" {
				t.Errorf("%s\n%q\n%q", problem, script, after)
			}
		}
	})
}
