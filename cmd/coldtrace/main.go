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
	"runtime/debug"
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
	err := newRootCommand().ExecuteContext(ctx)
	if status := exitStatus(0); errors.As(err, &status) {
		return int(status)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "coldtrace:", err)
		return 1
	}
	return 0
}

func newRootCommand() *cobra.Command {
	klog.SetLogger(logr.Discard()) // client-go logs there what it also returns; serve sets its own
	root := &cobra.Command{
		Use:         "coldtrace",
		Version:     version,
		Annotations: typedAs(os.Args[0]),
		Short:       "Where did the cold start go? Traces starts of model servers on Kubernetes",
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
	fitHelp(root)
	return root
}

// noCommand is what is run where no command is called for.
func noCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return root.Help() //nolint:wrapcheck // of standard output
	}
	var names []string
	for _, c := range root.Commands() {
		names = append(names, c.Name())
	}
	meant := isMeant("", args[0], "", names)
	if isFile(args[0]) || strings.Contains(args[0], "/") {
		meant = "; is coldtrace trace " + args[0] + " meant?"
	}
	return fmt.Errorf("there is no command %q%s; coldtrace --help lists those that there are", args[0], meant)
}

// typedAs makes usage texts say what was typed: the same file is kubectl's plugin if it is called kubectl-coldtrace.
func typedAs(program string) map[string]string {
	if strings.HasPrefix(filepath.Base(program), "kubectl-") {
		return map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl coldtrace"}
	}
	return nil
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
