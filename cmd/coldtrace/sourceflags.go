// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/coldtrace/coldtrace/cluster"
	"github.com/coldtrace/coldtrace/trace"
)

// ofPods are flags that only pods of a cluster have a use for, beside those of a connection.
var ofPods = []string{"selector", "all-namespaces", "previous", "container", "max-log-bytes", "send", "timeout"}

// clusterFlag is a flag that was given and that only a cluster has a use for; empty if there is none.
func (s *source) clusterFlag(cmd *cobra.Command) (name string) {
	connection := pflag.NewFlagSet("", pflag.ContinueOnError)
	s.config.AddFlags(connection)
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
	if s.since <= 0 || len(spans) == 0 {
		return spans, nil
	}
	began := map[string]time.Time{}
	for _, span := range spans {
		if first, ok := began[span.TraceID]; !ok || span.Start.Before(first) {
			began[span.TraceID] = span.Start
		}
	}
	spans = slices.DeleteFunc(spans, func(span *trace.Span) bool { return now.Sub(began[span.TraceID]) > s.since })
	if len(spans) == 0 {
		return nil, fmt.Errorf("none of the %d traces in the input began within the last %s (--since)", len(began), s.since)
	}
	return spans, nil
}

// kindLike is how KIND/NAME looks.
var kindLike = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9.-]*/[^/]+$`)

// noKind says of KIND/NAME, of which there is no such kind, which one may have been meant, and which there are.
func noKind(name string) error {
	kind, rest, _ := strings.Cut(name, "/")
	return fmt.Errorf("there is no kind %q%s; there are %s", kind, isMeant("", kind, "/"+rest, cluster.KindWords()), cluster.Kinds())
}

// withoutKind is what --pod takes for a start of an owner's pods, whose names begin with its name.
func withoutKind(pod string) string {
	if kind, name, ok := strings.Cut(pod, "/"); ok && cluster.IsKind(kind) {
		return name
	}
	return pod
}
