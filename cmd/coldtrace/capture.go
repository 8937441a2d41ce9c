// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/coldtrace/coldtrace/capture"
	"github.com/coldtrace/coldtrace/cluster"
	"github.com/coldtrace/coldtrace/startup/pod"
)

func newCaptureCommand() *cobra.Command {
	var (
		from     source
		opts     capture.Options
		o        string
		duration time.Duration
		logs     bool
	)
	cmd := &cobra.Command{
		Use:   "capture -n NAMESPACE",
		Short: "Write the pods and events of a namespace, for coldtrace trace",
		Long: `Writes what the API server knows of the starts of a namespace's pods as a stream
of YAML documents, cut down to what the timeline reads: no command, no
environment, no message but the kubelet's and the scheduler's own. With --logs it
also holds what containers' logs tell of their starts: phases and figures, and no
line.

With --follow it records every version of the pods until it is interrupted, or
for the time given with --for. That tells of starts that failed, of deleted pods
and of removed scheduling gates what is gone afterwards.`,
		Example: `  coldtrace capture -n models --logs -o starts.yaml
  coldtrace capture -n models -l app=llama --for 10m -o starts.yaml`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if duration < 0 {
				return fmt.Errorf("--for %s: want %s", duration, wanted["duration"])
			}
			client, namespace, err := connect(from.config)
			if err != nil {
				return err
			}
			opts.Namespace = namespace
			var said sync.Map // what is tried again fails again
			opts.Failed = func(err error) {
				text := nextStep(err, namespace).Error()
				if _, again := said.LoadOrStore(text, true); !again {
					cmd.PrintErrln("coldtrace:", text+"; it is tried again")
				}
			}
			if logs {
				opts.Inside = func(ctx context.Context, p *corev1.Pod) []pod.Span {
					r := cluster.Reader{Client: client, MaxLogBytes: cluster.DefaultMaxLogBytes, Now: time.Now}
					starts := r.Starts(ctx, []corev1.Pod{*p})
					for _, missing := range cluster.Lacking(starts) {
						cmd.PrintErrf("coldtrace: %s: %s\n", p.Name, missing)
					}
					return starts[0].Inside
				}
			}
			ctx := cmd.Context()
			if duration > 0 {
				opts.Follow = true
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, duration)
				defer cancel()
			}
			return nextStep(writeCapture(ctx, cmd.OutOrStdout(), client, opts, o), namespace)
		},
	}
	from.connectionFlags(cmd)
	f := cmd.Flags()
	f.StringVarP(&opts.Selector, "selector", "l", "", "only pods with these labels")
	f.BoolVar(&opts.Follow, "follow", false, "record until interrupted")
	f.BoolVar(&logs, "logs", false, "also write the phases that containers' logs tell; no line of them")
	f.DurationVar(&duration, "for", 0, "record for this long, such as 10m")
	f.StringVarP(&o, "output", "o", "-", "the file to write")
	return cmd
}

func writeCapture(ctx context.Context, stdout io.Writer, client kubernetes.Interface, opts capture.Options, path string) error {
	if path == "-" {
		return capture.Write(ctx, client, opts, stdout)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("-o %s: %w", path, unopened(path, err))
	}
	if err := capture.Write(ctx, client, opts, f); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write capture: %w", err)
	}
	return nil
}
