// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/coldtrace/coldtrace/trace/text"
)

// helpWidth is how many columns a help takes: those that every terminal has.
const helpWidth = 80

// fitHelp has a command, and all below it, explain themselves within helpWidth.
func fitHelp(root *cobra.Command) {
	cobra.AddTemplateFunc("fitted", fitted)
	cobra.AddTemplateFunc("flagsApart", flagsApart)
	root.SetHelpTemplate(strings.Replace(root.HelpTemplate(), "trimTrailingWhitespaces", "fitted", 1))
	root.SetUsageTemplate(strings.NewReplacer(
		".LocalFlags.FlagUsages | trimTrailingWhitespaces", ".LocalFlags | flagsApart",
		"for more information about a command", "for more about a command",
		"{{if .Runnable}}", "{{if and .Runnable .HasParent}}", // without a command nothing is run
	).Replace(root.UsageTemplate()))
}

// fitted breaks the lines of cobra's own texts that are too long.
func fitted(long string) string {
	var out []string
	for line := range strings.SplitSeq(strings.TrimSpace(long), "\n") {
		if text.Columns(line) <= helpWidth {
			out = append(out, line)
			continue
		}
		out = append(out, text.Wrap(line, helpWidth)...)
	}
	return strings.Join(out, "\n")
}

// alsoOurs are flags of kubectl's that stand among a command's own: few commands are typed without one of them.
// What they take is said in our words where it is missing.
var alsoOurs = map[string]string{
	"context": "the name of a context", "kubeconfig": "the kubeconfig, a file", "namespace": "the namespace, such as models",
}

// kubectls are the flags of a connection, as kubectl has them.
func kubectls() *pflag.FlagSet {
	flags := pflag.NewFlagSet("", 0)
	genericclioptions.NewConfigFlags(true).AddFlags(flags)
	return flags
}

// flagsApart lists a command's flags first and then the rest of kubectl's, among which they could not be found.
func flagsApart(all *pflag.FlagSet) string {
	connection, own, rest := kubectls(), pflag.NewFlagSet("", 0), pflag.NewFlagSet("", 0)
	all.VisitAll(func(f *pflag.Flag) {
		if connection.Lookup(f.Name) != nil && alsoOurs[f.Name] == "" {
			rest.AddFlag(f)
		} else {
			own.AddFlag(f)
		}
	})
	listed := own.FlagUsagesWrapped(helpWidth)
	if rest.HasFlags() {
		listed += "\nFlags of the connection, as kubectl has them:\n" + rest.FlagUsagesWrapped(helpWidth)
	}
	return strings.TrimRight(listed, "\n")
}
