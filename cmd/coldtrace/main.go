// SPDX-License-Identifier: Apache-2.0

// Command coldtrace is the operator's binary: the webhook and watcher, and the commands that show what they do.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
)

// version is stamped by the linker.
var version = "dev"

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRootCommand()
	err := root.ExecuteContext(ctx)
	if status := exitStatus(0); errors.As(err, &status) {
		return int(status)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "coldtrace:", asTyped(root, err.Error()))
		return 1
	}
	return 0
}

func newRootCommand() *cobra.Command {
	klog.SetLogger(logr.Discard()) // client-go logs there what it also returns; serve sets its own
	root := &cobra.Command{
		Use:     "coldtrace",
		Version: version,
		Short:   "Where did the cold start go? Traces starts of model servers on Kubernetes",
		Example: `  coldtrace trace deploy/llama -n models
  coldtrace explain -f endpoint.yaml`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs, // so that no command is RunE's to tell
		RunE:          noCommand,
	}
	root.SetFlagErrorFunc(mistyped)
	root.AddCommand(
		newPhasesCommand(),
		newTraceCommand(),
		newReportCommand(),
		newCompareCommand(),
		newRightsCommand(),
		newServeCommand(),
		newCheckCommand(),
		newVersionCommand(),
		newInjectCommand(),
		newExplainCommand(),
		newCaptureCommand(),
		newSamplingCommand(),
		newDashboardCommand(),
	)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() { // cobra's own take any word for none
		switch c.Name() {
		case "help":
			c.Run, c.RunE, c.Example = nil, help, "  coldtrace help trace"
		case "completion":
			c.Args, c.RunE, c.Example = cobra.ArbitraryArgs, noCommand, "  coldtrace completion bash >coldtrace.bash"
		}
	}
	typedAs(root, os.Args[0])
	fitHelp(root)
	return root
}

// noCommand is what is run where no command is called for.
func noCommand(parent *cobra.Command, args []string) error {
	if len(args) == 0 {
		return parent.Help() //nolint:wrapcheck // of standard output
	}
	var names []string
	for _, c := range parent.Commands() {
		names = append(names, c.Name())
	}
	meant := isMeant("", args[0], "", names)
	if !parent.HasParent() && (isFile(args[0]) || strings.Contains(args[0], "/")) {
		meant = "; is coldtrace trace " + args[0] + " meant?"
	}
	return fmt.Errorf("there is no command %q%s; %s --help lists those that there are", args[0], meant, parent.CommandPath())
}

// help explains the command that words name.
func help(cmd *cobra.Command, words []string) error {
	found, rest, err := cmd.Root().Find(words)
	if err != nil || len(rest) > 0 {
		return noCommand(found, rest)
	}
	found.InitDefaultHelpFlag()
	return found.Help() //nolint:wrapcheck // of standard output
}

// typedAs makes helps say what was typed: the same file is kubectl's plugin if it is called kubectl-coldtrace.
func typedAs(root *cobra.Command, program string) {
	if !strings.HasPrefix(filepath.Base(program), "kubectl-") {
		return
	}
	root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl coldtrace"}
	for _, c := range append(root.Commands(), root) {
		if c.Name() != "completion" { // which a shell has of the file, by its name
			c.Long, c.Example = asTyped(root, c.Long), asTyped(root, c.Example)
		}
	}
}

// called is a command line of the program's own in a text; the second part is what follows its name.
var called = regexp.MustCompile(`(kubectl )?\bcoldtrace ((?:--help|[a-z]+)\b)`)

// asTyped has a text call the commands that it names as the root was.
func asTyped(root *cobra.Command, text string) string {
	return called.ReplaceAllStringFunc(text, func(line string) string {
		word := called.FindStringSubmatch(line)[2]
		ours := word == "--help" || slices.ContainsFunc(root.Commands(), func(c *cobra.Command) bool { return c.Name() == word })
		if !ours {
			return line
		}
		return root.DisplayName() + " " + word
	})
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version, the commit and its date",
		Example: `  coldtrace version`,
		Args:    nothing,
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintln(cmd.OutOrStdout(), version)
			if info, ok := debug.ReadBuildInfo(); ok {
				fmt.Fprintln(cmd.OutOrStdout(), builtFrom(info))
			}
		},
	}
}

// builtFrom tells a commit, its date and the compiler, as Go has stamped them: of a build without git the compiler alone.
func builtFrom(info *debug.BuildInfo) string {
	set := map[string]string{}
	for _, s := range info.Settings {
		set[s.Key] = s.Value
	}
	out := info.GoVersion + " " + set["GOOS"] + "/" + set["GOARCH"]
	if commit := set["vcs.revision"]; commit != "" {
		if set["vcs.modified"] == "true" {
			commit += " and changes"
		}
		out = "commit " + commit + ", " + set["vcs.time"] + ", " + out
	}
	return out
}
