// SPDX-License-Identifier: Apache-2.0

// Command cluster runs a real Kubernetes, built from Go modules, on this machine; see README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

const usage = `usage: go run . [--dir DIR] [--bin DIR] COMMAND

  up [--control-plane-only]   boot the cluster; returns when a GPU pod can be scheduled
  down                        stop it and remove everything it made
  status                      what runs, and where
  build [--control-plane] [NAME...]   build binaries from Go modules into bin/
  packages                    install what comes from Debian, if root; else say what is missing
  start NAME | stop NAME      an extra process of the node: %s
  exec -- CMD...              run a command in the node's namespaces

  --dir DIR   the cluster's folder (default .cluster of the checkout); one cluster per folder
  --bin DIR   where binaries are built to (default .cluster/bin of the checkout)
`

// elsewhere is the way out for those who can't run this cluster.
const elsewhere = `To use another test cluster instead, for example kind:
  kind create cluster && export KUBECONFIG="$HOME/.kube/config"
and a registry that both you and its nodes can reach: export REGISTRY=HOST:PORT`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// run returns the exit code for commands that pass one on.
func run(ctx context.Context, args []string) (int, error) {
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	dir := flags.String("dir", "", "")
	bin := flags.String("bin", "", "")
	flags.Usage = func() {
		fmt.Fprintf(os.Stderr, usage, strings.Join(slices.Sorted(mapKeys(addons)), ", "))
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0, nil
		}
		return 2, nil // flag has said what is wrong
	}
	if flags.NArg() == 0 {
		flags.Usage()
		return 2, nil
	}
	l, err := newLayout(*dir, *bin)
	if err != nil {
		return 1, err
	}
	out := newProgress(os.Stdout)
	command, rest := flags.Arg(0), flags.Args()[1:]
	switch {
	case command == "up" && len(rest) == 0:
		return 0, up(ctx, l, out, fullMode)
	case command == "up" && slices.Equal(rest, []string{"--control-plane-only"}):
		return 0, up(ctx, l, out, controlPlaneMode)
	case command == "down" && len(rest) == 0:
		return 0, down(ctx, l, out)
	case command == "status" && len(rest) == 0:
		return status(l, os.Stdout)
	case command == "build":
		return 0, buildAll(ctx, l, out, buildNames(rest)...)
	case command == "packages" && len(rest) == 0:
		return 0, packages(ctx, out)
	case command == "start" && len(rest) == 1:
		return 0, startAddon(ctx, l, out, rest[0])
	case command == "stop" && len(rest) == 1:
		return 0, stopAddon(l, out, rest[0])
	case command == "exec" && len(rest) > 0:
		if rest[0] == "--" {
			rest = rest[1:]
		}
		return execNode(l, rest)
	case command == "keeper":
		return 0, runKeeper(l)
	case command == "control-plane":
		return 0, runControlPlane(l)
	case command == "node":
		return 0, runNode(l)
	}
	flags.Usage()
	return 2, nil
}

// buildNames replaces --control-plane by the names it stands for.
func buildNames(args []string) []string {
	var names []string
	for _, a := range args {
		if a == "--control-plane" || a == "-control-plane" {
			names = append(names, controlPlaneBins...)
			continue
		}
		names = append(names, a)
	}
	return names
}
