// SPDX-License-Identifier: Apache-2.0

// Command coldtrace is the operator's binary: the webhook and watcher, and the commands that show what they do.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is stamped by the linker.
var version = "dev"

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := &cobra.Command{
		Use:           "coldtrace",
		Short:         "Where did the cold start go? Traces the start of GPU model endpoints on Kubernetes",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(
		newPhasesCommand(),
		newTraceCommand(),
		newServeCommand(),
		newCheckCommand(),
		newVersionCommand(),
		newInjectCommand(),
		newExplainCommand(),
		newCaptureCommand(),
		newSamplingCommand(),
		newDashboardCommand(),
	)
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "coldtrace:", err)
		return 1
	}
	return 0
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run:   func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), version) },
	}
}
