// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/coldtrace/coldtrace/cluster"
	"github.com/coldtrace/coldtrace/otlp"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/pod"
	"github.com/coldtrace/coldtrace/trace"
)

// source is where starts come from: files, or pods of a cluster, with kubectl's own flags.
type source struct {
	config   *genericclioptions.ConfigFlags
	selector string
	all      bool
	since    time.Duration
	send     string
	without  []string // attributes of files' spans that nobody asks for
	reader   cluster.Reader
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
	f.StringVarP(&s.selector, "selector", "l", "", "pods with these labels")
	f.BoolVarP(&s.all, "all-namespaces", "A", false, "pods of all namespaces")
	f.DurationVar(&s.since, "since", 0, "only pods that were created since then, such as 2h; of files, only starts that began since then")
	f.BoolVarP(&s.reader.Previous, "previous", "p", false, "also read the log of the container's attempt before the last one")
	f.StringVarP(&s.reader.Container, "container", "c", "", "the container whose log is read (default: the one that serves)")
	f.Int64Var(&s.reader.MaxLogBytes, "max-log-bytes", cluster.DefaultMaxLogBytes, "read no more of a log, from its begin")
	f.StringVar(&s.send, "send", "", "also send the finished spans of a cluster's starts to this OTLP endpoint, a URL")
}

// split tells files from what is in a cluster. What is there as a file, or looks like one, is a file.
func (s *source) split(cmd *cobra.Command, args []string) (files, names []string) {
	for i, arg := range args {
		kind, _, slash := strings.Cut(arg, "/")
		switch {
		case arg == "-", isFile(arg) && (!slash || !cluster.IsKind(kind)):
			files = append(files, arg)
		case slash && !cluster.IsKind(kind) && (isFile(kind) || filepath.Ext(arg) != "" || !kindLike.MatchString(arg)):
			files = append(files, arg)
		case s.clusterFlag(cmd) == "" && (i == 0 || len(names) == 0) && slices.Contains([]string{".json", ".jsonl", ".yaml", ".yml", ".ndjson"}, filepath.Ext(arg)):
			files = append(files, arg)
		default:
			names = append(names, arg)
		}
	}
	return files, names
}

// client is a client of the cluster, and the namespace that is meant.
func (s *source) client() (kubernetes.Interface, string, error) { return connect(s.config) }

// connect is a client of the cluster that flags name, and the namespace that is meant.
func connect(flags *genericclioptions.ConfigFlags) (kubernetes.Interface, string, error) {
	cfg, err := flags.ToRESTConfig()
	if clientcmd.IsEmptyConfig(err) || err == nil && isDefault(flags, cfg) {
		if named := os.Getenv(clientcmd.RecommendedConfigPathEnvVar); named != "" {
			return nil, "", fmt.Errorf("%w (KUBECONFIG is %s, where no cluster is named)", errNoKubeconfig, named)
		}
		return nil, "", errNoKubeconfig
	}
	if err != nil {
		return nil, "", unloaded(err)
	}
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, "", fmt.Errorf("make a client: %w", err)
	}
	namespace, _, err := flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return nil, "", fmt.Errorf("find the namespace: %w", err)
	}
	return client, namespace, nil
}

var errNoKubeconfig = errors.New("there is no kubeconfig: set KUBECONFIG or give --kubeconfig")

// noConfig is what client-go says of a file that is something else, in Go's words.
var noConfig = regexp.MustCompile(`couldn't get version/kind; json parse error: .*`)

// unloaded says why a kubeconfig can't be used.
func unloaded(err error) error {
	var file *fs.PathError
	if errors.As(err, &file) {
		err = unopened(file.Path, file.Err)
	}
	return fmt.Errorf("load kubeconfig: %s; --kubeconfig names another, kubectl config get-contexts lists what is in it", noConfig.ReplaceAllString(err.Error(), "it is no kubeconfig"))
}

// isDefault tells whether nobody has said where the cluster is: then client-go tries this machine.
func isDefault(flags *genericclioptions.ConfigFlags, cfg *rest.Config) bool {
	raw, err := flags.ToRawKubeConfigLoader().RawConfig()
	return err == nil && len(raw.Clusters) == 0 && *flags.APIServer == "" && os.Getenv("KUBERNETES_MASTER") == "" && cfg.Host == clientcmd.ClusterDefaults.Server
}

// takenForPods says why something was looked for in a cluster.
func takenForPods(names []string, err error) error {
	if len(names) == 0 {
		return err
	}
	unknown := errors.Is(err, errNoKubeconfig)
	for _, name := range names {
		kind, _, ok := strings.Cut(name, "/")
		if ok && !cluster.IsKind(kind) && (unknown || strings.Contains(err.Error(), fmt.Sprintf("have a resource type %q", kind))) {
			return fmt.Errorf("there is no file %s, and %w", name, noKind(name))
		}
	}
	if strings.Contains(names[0], "/") || !unknown {
		return err
	}
	return fmt.Errorf("there is no file %s, so it was taken for a pod; and %w", names[0], err)
}

// pods are those that are meant.
func (s *source) pods(ctx context.Context, names []string) ([]corev1.Pod, error) {
	client, namespace, err := s.client()
	if err != nil {
		return nil, takenForPods(names, err)
	}
	s.reader.Client, s.reader.Now = client, time.Now
	pods, err := cluster.Pods(ctx, s.config, client, cluster.Choice{
		Names: names, Selector: s.selector, Namespace: namespace, All: s.all, Since: s.since,
	}, time.Now())
	if err != nil {
		return nil, nextStep(takenForPods(names, err), namespace)
	}
	if len(pods) == 0 && s.all {
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
	var spans []*trace.Span
	for i := range starts {
		spans = append(spans, drawn(&starts[i])...)
	}
	return trace.Collapse(trace.Build(spans)), cluster.Lacking(starts)
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
	for service, of := range map[string]func(*cluster.Start) []pod.Span{
		startup.ServiceWatcher: func(s *cluster.Start) []pod.Span { return s.Outside },
		startup.ServiceWrapper: func(s *cluster.Start) []pod.Span { return s.Inside },
	} {
		exporter, err := otlp.NewExporter(ctx, otlp.ExporterConfig{Endpoint: to, Version: version, Service: service})
		if err != nil {
			return fmt.Errorf("send: %w", err)
		}
		for i := range starts {
			if err := exporter.ExportSpans(ctx, starts[i].Subject, pod.Finished(of(&starts[i]))); err != nil {
				return errors.Join(fmt.Errorf("send the start of %s: %w", starts[i].Subject.PodName, err), exporter.Shutdown(ctx))
			}
		}
		if err := exporter.Shutdown(ctx); err != nil {
			return fmt.Errorf("send: %w", err)
		}
	}
	return nil
}

// drawn are the spans of a start, as exporters would have sent them, and those that go on.
func drawn(s *cluster.Start) []*trace.Span {
	return append(spansOf(s.Subject, startup.ServiceWatcher, s.Outside), spansOf(s.Subject, startup.ServiceWrapper, s.Inside)...)
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
