// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/coldtrace/coldtrace/trace/text"
)

// commandsOf are a command and all below it, cobra's own included.
func commandsOf(root *cobra.Command) []*cobra.Command {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	all := []*cobra.Command{root}
	for i := 0; i < len(all); i++ {
		all = append(all, all[i].Commands()...)
	}
	return all
}

func TestEachHelpFitsATerminal(t *testing.T) {
	for _, program := range []string{"coldtrace", "kubectl-coldtrace"} {
		t.Run(program, func(t *testing.T) {
			root := newRootCommand()
			typedAs(root, program)
			all := commandsOf(root)
			if len(all) < 15 {
				t.Fatalf("only %d commands", len(all))
			}
			for _, c := range all {
				var out bytes.Buffer
				c.SetOut(&out)
				if err := c.Help(); err != nil || !strings.Contains(out.String(), "Usage:") {
					t.Errorf("%s: %v, and says\n%s", c.CommandPath(), err, out.String())
				}
				fits(t, c.CommandPath(), helpWidth, out.String())
			}
		})
	}
}

// fits holds each line against a width. A single word, which may be wanted whole, is let go.
func fits(t *testing.T, what string, columns int, said string) {
	t.Helper()
	for line := range strings.Lines(said) {
		line = strings.TrimRight(line, "\n")
		if n := text.Columns(line); n > columns && len(strings.Fields(line)) > 1 {
			t.Errorf("%s: %d columns, want %d at most: %s", what, n, columns, line)
		}
	}
}

func TestKubectlsPluginIsCalledAsItWasTyped(t *testing.T) {
	root := newRootCommand()
	typedAs(root, "/usr/bin/kubectl-coldtrace")
	for _, c := range append(root.Commands(), root) {
		if c.Name() == "completion" {
			continue
		}
		text := c.Example + c.Long
		if strings.Count(text, "coldtrace "+c.Name()) != strings.Count(text, "kubectl coldtrace "+c.Name()) {
			t.Errorf("%s: %s", c.CommandPath(), text)
		}
	}
	for args, want := range map[string]string{
		"nope":          "; kubectl coldtrace --help lists",
		"compare a":     "kubectl coldtrace compare BEFORE AFTER, or kubectl coldtrace compare --by",
		"phases":        ": kubectl coldtrace phases LOG",
		"trace --folow": "; kubectl coldtrace trace --help lists",
	} {
		root := newRootCommand()
		typedAs(root, "kubectl-coldtrace")
		if _, err := execute(t, root, strings.Fields(args)...); err == nil || !strings.Contains(asTyped(root, err.Error()), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
	if said := asTyped(newRootCommand(), "kubectl coldtrace trace x, coldtrace watches"); said != "coldtrace trace x, coldtrace watches" {
		t.Errorf("as itself it says %q", said)
	}
}

func TestTheHelpTellsACommandsFlagsFromKubectls(t *testing.T) {
	var out bytes.Buffer
	cmd, _, err := newRootCommand().Find([]string{"trace"})
	if err != nil {
		t.Fatal(err)
	}
	cmd.SetOut(&out)
	if err := cmd.Help(); err != nil {
		t.Fatal(err)
	}
	own, kubectls, found := strings.Cut(out.String(), "Flags of the connection, as kubectl has them:")
	if !found {
		t.Fatal(out.String())
	}
	for flag, among := range map[string]string{"--follow": own, "--namespace": own, "--html": own, "--as-group": kubectls, "--token": kubectls} {
		if strings.Count(out.String(), flag+" ") != strings.Count(among, flag+" ") || !strings.Contains(among, flag+" ") {
			t.Errorf("%s is not where it belongs:\n%s", flag, out.String())
		}
	}
}

func TestFlagsThatTakeOneOfAFewWordsAreCompleted(t *testing.T) {
	for line, want := range map[string]string{
		"trace -o": "otlp", "report --by": "image_tag", "compare --by": "region", "serve --image-volumes": "yes", "phases --engine": "triton",
	} {
		root := newRootCommand()
		out, err := execute(t, root, append(append([]string{"__complete"}, strings.Fields(line)...), "")...)
		if err != nil || !strings.Contains("\n"+out, "\n"+want+"\n") {
			t.Errorf("%s is completed to (%v)\n%s", line, err, out)
		}
	}
}

func TestEveryCommandHasAnExample(t *testing.T) {
	for _, c := range newRootCommand().Commands() {
		if !strings.Contains(c.Example, "coldtrace "+c.Name()) {
			t.Errorf("the help of %s shows no use of it", c.Name())
		}
	}
}
