// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"

	"github.com/coldtrace/coldtrace/cluster"
	"github.com/coldtrace/coldtrace/otlp"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/pod"
	"github.com/coldtrace/coldtrace/trace"
)

// source is where starts come from: files, or pods of a cluster, with kubectl's own flags.
type source struct {
	config  *genericclioptions.ConfigFlags
	choice  cluster.Choice
	send    string
	without []string // attributes of files' spans that nobody asks for
	reader  cluster.Reader
}

// connectionFlags are those of a cluster and a namespace.
func (s *source) connectionFlags(cmd *cobra.Command) {
	s.config = genericclioptions.NewConfigFlags(true).WithWrapConfigFn(func(c *rest.Config) *rest.Config {
		c.QPS, c.Burst = 200, 400 // a few requests a pod, of as many pods as there are
		return c
	})
	s.config.AddFlags(cmd.Flags())
	_ = cmd.RegisterFlagCompletionFunc("namespace", s.completeNamespaces)
}

func (s *source) flags(cmd *cobra.Command) {
	s.connectionFlags(cmd)
	f := cmd.Flags()
	f.StringVarP(&s.choice.Selector, "selector", "l", "", "pods with these labels")
	f.BoolVarP(&s.choice.All, "all-namespaces", "A", false, "pods of all namespaces")
	f.DurationVar(&s.choice.Since, "since", 0, "only pods that were created since then, such as 2h; of files, only starts that began since then")
	f.BoolVarP(&s.reader.Previous, "previous", "p", false, "also read the log of the container's attempt before the last one")
	f.StringVarP(&s.reader.Container, "container", "c", "", "the container whose log is read (default: the one that serves)")
	f.Int64Var(&s.reader.MaxLogBytes, "max-log-bytes", cluster.DefaultMaxLogBytes, "read no more of a log, from its begin")
	f.StringVar(&s.send, "send", "", "also send the finished spans of a cluster's starts to this OTLP endpoint, a URL")
}

// ofPods are flags that only pods of a cluster have a use for, beside those of a connection.
var ofPods = []string{"selector", "all-namespaces", "previous", "container", "max-log-bytes", "send", "timeout"}

// clusterFlag is a flag that was given and that only a cluster has a use for; empty if there is none.
func (s *source) clusterFlag(cmd *cobra.Command) (name string) {
	connection := kubectls()
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if name == "" && (connection.Lookup(f.Name) != nil || slices.Contains(ofPods, f.Name)) {
			name = f.Name
		}
	})
	return name
}

// fits refuses what would be ignored: a flag for pods, where all sources are files.
func (s *source) fits(cmd *cobra.Command, args []string) error {
	for _, name := range []string{"since", "timeout", "max-log-bytes"} {
		if f := cmd.Flags().Lookup(name); f != nil && (strings.HasPrefix(f.Value.String(), "-") || f.Value.String() == "0") {
			return fmt.Errorf("--%s %s: want %s", name, f.Value, wanted[f.Value.Type()])
		}
	}
	if to, err := url.Parse(s.send); s.send != "" && (err != nil || to.Host == "" || !strings.HasPrefix(to.Scheme, "http")) {
		return fmt.Errorf("--send %s: want a URL, such as http://localhost:4317", s.send)
	}
	files, names := s.split(cmd, args)
	if err := unnamed(names); err != nil {
		return err
	}
	if flag := s.clusterFlag(cmd); flag != "" && len(files) > 0 && len(names) == 0 {
		called := "a file"
		if files[0] == "-" {
			called = "standard input"
		}
		return fmt.Errorf("--%s is for pods of a cluster, and %s is %s", flag, files[0], called)
	}
	return nil
}

// recent leaves out the starts in files that began before --since, as the pods of a cluster that were created before.
func (s *source) recent(spans []*trace.Span, now time.Time) ([]*trace.Span, error) {
	if s.choice.Since <= 0 || len(spans) == 0 {
		return spans, nil
	}
	began := map[string]time.Time{}
	for _, span := range spans {
		if first, ok := began[span.TraceID]; !ok || span.Start.Before(first) {
			began[span.TraceID] = span.Start
		}
	}
	spans = slices.DeleteFunc(spans, func(span *trace.Span) bool { return now.Sub(began[span.TraceID]) > s.choice.Since })
	if len(spans) == 0 {
		return nil, fmt.Errorf("none of the %d traces in the input began within the last %s (--since)", len(began), s.choice.Since)
	}
	return spans, nil
}

// kindLike is how KIND/NAME looks.
var kindLike = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9.-]*/[^/]+$`)

// split tells files from what is in a cluster. What is there as a file, or looks like one, is a file.
func (s *source) split(cmd *cobra.Command, args []string) (files, names []string) {
	for _, arg := range args {
		kind, _, slash := strings.Cut(arg, "/")
		switch {
		case arg == "-", isFile(arg) && (!slash || !cluster.IsKind(kind)):
			files = append(files, arg)
		case slash && !cluster.IsKind(kind) && (isFile(kind) || filepath.Ext(arg) != "" || !kindLike.MatchString(arg)):
			files = append(files, arg)
		case s.clusterFlag(cmd) == "" && len(names) == 0 && slices.Contains([]string{".json", ".jsonl", ".yaml", ".yml", ".ndjson"}, filepath.Ext(arg)):
			files = append(files, arg)
		default:
			names = append(names, arg)
		}
	}
	return files, names
}

// withoutKind is what --pod takes for a start of an owner's pods, whose names begin with its name.
func withoutKind(pod string) string {
	if kind, name, ok := strings.Cut(pod, "/"); ok && cluster.IsKind(kind) {
		return name
	}
	return pod
}

// pods are those that are meant.
func (s *source) pods(ctx context.Context, names []string) ([]corev1.Pod, error) {
	client, namespace, err := connect(s.config)
	if err != nil {
		return nil, takenForPods(names, err)
	}
	s.reader.Client, s.reader.Now = client, time.Now
	choice := s.choice
	choice.Names, choice.Namespace = names, namespace
	pods, err := cluster.Pods(ctx, s.config, client, choice, time.Now())
	if err != nil {
		return nil, nextStep(takenForPods(names, err), namespace)
	}
	if len(pods) == 0 && choice.All {
		return nil, errors.New("there are no such pods in any namespace")
	}
	if len(pods) == 0 {
		return nil, fmt.Errorf("there are no such pods in namespace %s; -n names another, -A looks in all", namespace)
	}
	return pods, nil
}

// look reads starts as they are now, the newest first, and says what they lack.
func (s *source) look(ctx context.Context, names []string) ([]*trace.Trace, []string, error) {
	pods, err := s.pods(ctx, names)
	if err != nil {
		return nil, nil, err
	}
	traces, missing := s.read(ctx, pods)
	return traces, missing, nil
}

func (s *source) read(ctx context.Context, pods []corev1.Pod) ([]*trace.Trace, []string) {
	starts := s.reader.Starts(ctx, pods)
	return trace.Collapse(trace.Build(drawn(starts))), cluster.Lacking(starts)
}

// siblings are the starts of a few other pods of a pod's owner, where a single pod is asked for.
func (s *source) siblings(ctx context.Context, names []string) ([]*trace.Trace, error) {
	pods, err := s.pods(ctx, names)
	if err != nil || len(pods) != 1 {
		return nil, err
	}
	others, err := cluster.Siblings(ctx, s.reader.Client, &pods[0])
	if err != nil {
		return nil, err
	}
	traces, _ := s.read(ctx, others) // what they lack is nobody's business
	return traces, nil
}

// starts reads the starts of pods. What is missing of them is said on standard error.
func (s *source) starts(cmd *cobra.Command, names []string) ([]cluster.Start, error) {
	pods, err := s.pods(cmd.Context(), names)
	if err != nil {
		return nil, err
	}
	starts := s.reader.Starts(cmd.Context(), pods)
	for _, missing := range cluster.Lacking(starts) {
		cmd.PrintErrln("coldtrace:", missing)
	}
	if s.send != "" {
		if err := sendStarts(cmd.Context(), s.send, starts); err != nil {
			return starts, err
		}
	}
	return starts, nil
}

// sendStarts exports what has ended, as the watcher and the wrapper would have, each under its own name.
func sendStarts(ctx context.Context, to string, starts []cluster.Start) error {
	watcher, err := otlp.NewExporter(ctx, otlp.ExporterConfig{Endpoint: to, Version: version, Service: startup.ServiceWatcher})
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	wrapper := watcher.As(startup.ServiceWrapper)
	for _, s := range starts {
		err := watcher.ExportSpans(ctx, s.Subject, pod.Finished(s.Outside))
		if err == nil {
			err = wrapper.ExportSpans(ctx, s.Subject, pod.Finished(s.Inside))
		}
		if err != nil {
			return errors.Join(fmt.Errorf("--send %s: send the start of %s: %w", to, s.Subject.PodName, notTaken(err)), watcher.Shutdown(ctx))
		}
	}
	if err := watcher.Shutdown(ctx); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// drawn are the spans of starts, as exporters would have sent them, and those that go on.
func drawn(starts []cluster.Start) (spans []*trace.Span) {
	for _, s := range starts {
		spans = append(spans, spansOf(s.Subject, startup.ServiceWatcher, s.Outside)...)
		spans = append(spans, spansOf(s.Subject, startup.ServiceWrapper, s.Inside)...)
	}
	return spans
}

func spansOf(subject startup.Subject, service string, of []pod.Span) []*trace.Span {
	spans := make([]startup.Span, len(of))
	for i := range of {
		spans[i] = of[i].Span
	}
	out := trace.FromStart(subject, service, spans)
	for i := range out {
		out[i].Open = of[i].Open
	}
	return out
}
