// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
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

// kindLike is how the first part of KIND/NAME looks.
var kindLike = regexp.MustCompile(`^[A-Za-z][A-Za-z.]*$`)

// notAFile says what a file that can't be opened may have been meant to be: deploy/x, with a slip.
func notAFile(name string, err error) error {
	kind, rest, slash := strings.Cut(name, "/")
	if !errors.Is(err, fs.ErrNotExist) || !slash || strings.Contains(rest, "/") || filepath.Ext(rest) != "" || !kindLike.MatchString(kind) {
		return err
	}
	if isFile(kind) {
		return err // a folder, of which that file is missing
	}
	return fmt.Errorf("there is no file %s, and %s", name, noKind(kind, rest))
}

// longKinds are kinds that people spell out, beside cluster.Kinds.
var longKinds = []string{"deployment", "replicaset", "statefulset", "daemonset", "leaderworkerset", "inferenceservice", "podcliquescalinggroup"}

// noKind says of a word that is no kind of what has pods which one may have been meant, and which there are.
func noKind(kind, name string) string {
	text := fmt.Sprintf("no kind %q of what has pods", kind)
	known := &cobra.Command{SuggestionsMinimumDistance: 1 + len(kind)/6} // which knows how to guess
	for _, k := range slices.Concat(cluster.Kinds, longKinds) {
		known.AddCommand(&cobra.Command{Use: k, Run: func(*cobra.Command, []string) {}})
	}
	if meant := known.SuggestionsFor(kind); len(meant) > 0 {
		text += fmt.Sprintf("; is %s/%s meant?", meant[0], name)
	}
	return text + "; there are " + strings.Join(cluster.Kinds, ", ")
}
