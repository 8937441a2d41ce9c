// SPDX-License-Identifier: Apache-2.0

package inject_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/syntax"

	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/startup"
)

// scripts makes shell scripts of the parts that people put around a server. None of them prints its own text: what
// a parent's $BASH_ENV or a job that was killed show of a script is the script, placeholder included.
type scripts struct{ rand *rand.Rand }

func (s scripts) pick(of ...string) string { return of[s.rand.IntN(len(of))] }

func (s scripts) maybe(text string) string {
	if s.rand.IntN(2) == 0 {
		return ""
	}
	return text
}

// script is a whole string for bash -c, as it stands in a pod: the kubelet reads it first.
func (s scripts) script() string {
	var b strings.Builder
	b.WriteString(s.maybe(s.pick(
		"set -euo pipefail;", "set -e\n", "set -u; ", "shopt -s failglob; ", "shopt -s nullglob extglob\n", "IFS=$'\\t'; ", "IFS=,\n", "set -f;", "trap 'echo bye' EXIT;",
		"set -E; trap 'echo failed at $LINENO' ERR\n", "#!/bin/bash\n", "cd . || exit 1; ", "trap '' HUP; trap 'echo term' TERM INT\n", "set -o errexit -o nounset\n", "export LC_ALL=C; ", "\n\n",
	)))
	for range s.rand.IntN(4) {
		b.WriteString(s.filler() + s.pick(";", "\n", " ; ", "\n\n", " # why\n"))
	}
	b.WriteString(s.around(s.server()))
	b.WriteString(s.pick("", "", ";", "\n", " # done", "; echo after $?", " & wait $!; echo waited $?", "\n\n#x", "\nrc=$?; echo rc $rc; exit $rc", " &\nPID=$!\nwait $PID || echo ended $?", "\necho ${PIPESTATUS[@]}"))
	if text := b.String(); s.rand.IntN(8) > 0 || strings.ContainsAny(text, "&|") || strings.Contains(text, "coproc") || strings.Contains(text, "<(") {
		return text
	}
	return "set -x\n" + b.String() // where nothing runs beside it, so that its traces have an order
}

func (s scripts) filler() string {
	return s.pick(
		`echo one`, `echo "a;b" 'c d'`, `X=1`, `export Y="a b"`, `echo "${X:-none}"`, `true && echo yes || echo no`, `f() { echo "f $@"; }; f 1 2`,
		"cat <<EOF\nhere $((1+2)) ${X:-x}\nEOF", `echo $(echo sub | tr a-z A-Z)`, `for i in 1 2; do echo $i; done`, `# a comment with python -m vllm_server`,
		`case a in a) echo A ;; esac`, `[ -d / ] && echo dir`, `printf '%s\n' "x y"`, `echo \
 continued`, `if true; then echo t; else echo f; fi`, `{ echo g; }`, `( echo h )`, `echo "it's"`, `arr=(a 'b c'); echo "${arr[@]}"`, `echo $'tab\t'`, `let n=1+1 || :`, `((n = 2)); echo $n`,
		"cat <<'EOF'\nvllm serve $X `no` \\\nEOF", "cat <<-EOF\n\tvllm serve tabbed\n\tEOF", "cat <<A; cat <<B\nfirst\nA\nsecond\nB", `cat <<< "a $((1 + 1)) string"`, `echo ok | while read -r l; do echo "read $l"; done`,
		`i=0; while [ $i -lt 2 ]; do i=$((i + 1)); done; echo $i`, `n=3; until (( n == 0 )); do ((n--)) || :; done; echo $n`, `for ((k = 0; k < 2; k++)); do echo -n "$k "; done`, `[[ abc =~ ^a(b)c$ ]] && echo "${BASH_REMATCH[1]}"`,
		`case "$(uname)" in Linux|Darwin) echo unix ;; *) echo other ;;& esac`, `if false; then :; elif [[ -n a ]]; then echo elif; fi`, `declare -A m=([a]=1 [b]=2); echo "${m[b]} ${#m[@]}"`, `arr=(a b c); echo "${arr[@]:1:2}" "${#arr[@]}"`,
		`g() { local v=$1; [ "$v" = 0 ] && return; g $((v - 1)); echo "g$v"; }; g 2`, `mapfile -t lines < <(printf 'p\nq\n'); echo "${lines[1]}"`, `cat <(echo one) <(echo two)`, `echo a{1,2}b {1..3}`, `v=a/b/c.txt; echo "${v##*/} ${v%.*} ${v//\//-} ${#v} ${v^^}"`,
		`[ $$$$ -gt 1 ] && echo pid`, `echo $$(echo kubelet) $(( 1 ))`, `echo "$(cat <<E
in a substitution
E
)"`, "x=`echo \\`echo back\\``; echo $x", `true & wait $!; echo $?`, `(sleep 0 & wait); echo joined`, `set -- a 'b c'; echo "$#" "$2"; shift; echo "$1"`, `printf -v p '%03d' 7; echo $p`, `exec 3>&1; echo three >&3; exec 3>&-`,
		`! false && echo negated`, `{ echo out; echo err >&2; } 2>&1 | sort`, `eval 'echo evaluated "a b"'`, `alias ll=ls; unalias ll`, `: "${A_DEFAULT:=set}"; echo $A_DEFAULT`, `test -e /nonexistent || echo absent`, `echo vllm serve in words`, `function h { echo "h:$*"; }; h x y`,
		`select_model() { echo "m-$1"; }; MODEL=$(select_model 7); echo $MODEL`, `readonly R=1; echo $R`, `echo ~ | wc -l`, `echo "\$HOME \"q\" \\"`, `: <<'NOTE'
python -m vllm_server
NOTE`,
	)
}

func (s scripts) server() string {
	return s.maybe(s.pick("A=1 ", `A="x y" B=$((1)) `, "A=1 \\\n  ", "</dev/null ")) +
		s.maybe(s.pick("exec ", "nohup ", "env B=2 ", "nice -n 1 ", "timeout 60 ", "command ", "env -u HOME C='d e' ", "stdbuf -oL ", "setsid -w ", "exec -a other ")) +
		s.pick("python -m vllm_server", "python3 -u -m vllm.entrypoints.openai.api_server", "vllm serve", "python -m 'vllm_server'", `python -m "vllm_server"`, "vllm \\\n serve", `"vllm" serve`, "python3 -X dev -m vllm_server", `v\llm serve`, "python vllm_server.py", "./vllm serve") +
		s.pick(" --model m", " m", "", " \\\n --port 1", ` --json '{"a": "b;c|d", "e": ["*"]}'`, ` --host "::"`, " --x $X_UNSET_OK", ` "$@"`, ` --n $((2*3))`, " --t \"$(echo $'a\\tb')\"", ` "${arr[@]:-none}"`, " --list a b\\ c 'd'\"e\"", ` --glob *.none`, ` --text "a
b"`, ` --q "it's \"quoted\" \$5"`, ` ${X:+--set}`, ` --tilde ~`, ` --back "`+"`echo b`"+`"`) +
		s.maybe(" --port 5005") + s.maybe(s.pick(" 2>&1", " 2>/dev/null", " <<< input", " 3>&1")) +
		s.maybe(s.pick(" | cat", " > /dev/null", " | tee /dev/null | cat -n", " || echo failed $?", " && echo fine", " |& cat", " || { echo group $?; false; }", " | while read -r l; do echo \"got $l\"; done", " || true"))
}

func (s scripts) around(server string) string {
	return fmt.Sprintf(s.pick(
		"%s", "%s", "%s", "if true; then %s\nfi", "( %s\n)", "{ %s\n}", "run() { %s\n}; run a 'b c'", "for i in 1 2; do %s\ndone", "case x in x) %s\n;; esac", "while :; do %s\nbreak; done", "! %s", "time -p %s", "coproc %s",
		"if ! %s\nthen echo down; fi", "until %s\ndo echo again; break; done", "n=0; until %s\ndo n=$((n+1)); [ $n -lt 2 ] || break; done", "function run { local a=1; %s\n}\nrun one two", "if [[ -z $X_UNSET_OK ]]; then echo unset; else %s\nfi",
		"true && %s", "false || %s", "[ -d . ] && { %s\n}", "case a in b) ;; a|c) %s\n;& d) echo fell ;; esac", "( trap 'echo sub' EXIT; %s\n)", "main() { run \"$@\"; }; run() { %s\n}; main a 'b c'", "set -- m --k v; %s", "for ((i = 0; i < 2; i++)); do %s\ndone", "{ { ( %s\n) } }",
	), server)
}

// edit is a script as injection leaves it.
func edit(t testing.TB, script string) (string, inject.Decision) {
	t.Helper()
	got, decision := edited(t, gpuPod([]string{"/bin/bash", "-c", script}, nil), "")
	return got[len(got)-1], decision
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
	if strings.Replace(after, startup.VLLMExecPlaceholder+" ", "", 1) != before {
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
		at := slices.Index(is[i], startup.VLLMExecPlaceholder)
		if at < 0 || !slices.Equal(was[i], slices.Delete(slices.Clone(is[i]), at, at+1)) {
			return fmt.Sprintf("%q became %q", was[i], is[i])
		}
	}
	if changed != 1 && !strings.Contains(before, startup.VLLMExecPlaceholder) {
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
