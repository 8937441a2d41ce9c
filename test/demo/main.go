// SPDX-License-Identifier: Apache-2.0

// Command demo traces one cold start on a real Kubernetes and draws it: on one of its own, or on one that you have. KEEP=1
// keeps what it has set up.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/term"
	corev1 "k8s.io/api/core/v1"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/test/stage"
	"github.com/coldtrace/coldtrace/trace"
	"github.com/coldtrace/coldtrace/trace/advice"
)

const (
	models    = "models"
	elsewhere = "elsewhere" // a namespace that coldtrace has nothing to do with
	selector  = "managed-by=model-engine"
	readyIn   = 5 * time.Minute
	tracedIn  = 30 * time.Second
)

func main() {
	var guest stage.Guest
	flag.StringVar(&guest.Kubeconfig, "kubeconfig", "", "`file` of a cluster that you have (default: a cluster is booted here)")
	flag.StringVar(&guest.Registry, "registry", "", "`HOST/PATH` that its images are pushed to")
	flag.StringVar(&guest.Pull, "pull", "", "the same registry, as its nodes call it (default: as -registry)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := demo(ctx, guest, flag.NFlag() > 0, os.Getenv("KEEP") == "1")
	interrupted := ctx.Err() != nil
	stop()
	if err != nil {
		if interrupted {
			fmt.Fprintln(os.Stderr, "demo: interrupted")
			os.Exit(130)
		}
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// open boots a cluster, or joins somebody's.
func open(ctx context.Context, guest stage.Guest, visits bool) (*stage.Stage, error) {
	if visits {
		fmt.Println("Your Kubernetes: all is in namespaces of its own, and removed in the end")
		return stage.Visit(ctx, os.Stdout, guest) //nolint:wrapcheck // says what is wrong
	}
	fmt.Println("A real Kubernetes on this machine")
	s, err := stage.Open(ctx, os.Stdout)
	if err != nil {
		return nil, fmt.Errorf("boot the cluster: %w", err)
	}
	return s, nil
}

func demo(ctx context.Context, guest stage.Guest, visits, keep bool) (err error) {
	begun := time.Now()
	s, err := open(ctx, guest, visits)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := finish(s, keep && err == nil); err == nil {
			err = closeErr
		}
	}()
	if err := prepare(ctx, s); err != nil {
		return err
	}
	drawn, err := coldStart(ctx, s)
	if err != nil {
		return err
	}
	page, err := draw(s, drawn)
	if err != nil {
		return err
	}
	fmt.Printf("\nFrom nothing to this drawing in %s.\nAs a page: %s\n", time.Since(begun).Round(100*time.Millisecond), s.Path(page))
	return readFromOutside(ctx, s)
}

// readFromOutside draws a start that coldtrace had no part in: by pod, events and log, with the command that a person types.
func readFromOutside(ctx context.Context, s *stage.Stage) error {
	s.Heading("The same endpoint in a namespace without coldtrace: the command line alone")
	bare := s.Namespace(elsewhere)
	if err := s.MakeNamespace(ctx, bare, false); err != nil {
		return fmt.Errorf("make a namespace: %w", err)
	}
	pod, err := start(ctx, s, bare)
	if err != nil {
		return err
	}
	typed := "trace -n " + bare + " deploy/" + pod.Labels["app"]
	if s.Guest() {
		typed += " -c main" // no GPU tells which container serves
	}
	drawn, err := s.Shell(ctx, "go run ./cmd/coldtrace "+typed)
	if err != nil {
		return fmt.Errorf("draw a start from outside: %w", err)
	}
	fmt.Printf("\n$ coldtrace %s\n%s", typed, drawn)
	return nil
}

// prepare puts everything in place that a cluster of GPU endpoints would have, and coldtrace.
func prepare(ctx context.Context, s *stage.Stage) error {
	s.Heading("Around it: a receiver of telemetry, a model store, images")
	if err := s.Around(ctx); err != nil {
		return fmt.Errorf("set up what is around: %w", err)
	}
	s.Heading("coldtrace: helm install, label a namespace")
	if err := s.InstallChart(ctx); err != nil {
		return fmt.Errorf("install the chart: %w", err)
	}
	namespace := s.Namespace(models)
	return s.Step("namespace "+namespace+" labelled, pods injected", func() error {
		if err := s.MakeNamespace(ctx, namespace, true); err != nil {
			return err
		}
		return s.AwaitInjection(ctx, namespace)
	})
}

// coldStart starts the endpoint and returns its trace.
func coldStart(ctx context.Context, s *stage.Stage) (*trace.Trace, error) {
	s.Heading("The cold start: s5cmd from a real S3 server, then a simulated vLLM")
	pod, err := start(ctx, s, s.Namespace(models))
	if err != nil {
		return nil, err
	}
	var drawn *trace.Trace
	err = s.Step("trace complete", func() error {
		traced, cancel := context.WithTimeout(ctx, tracedIn)
		defer cancel()
		drawn, err = s.AwaitTrace(traced, string(pod.UID), stage.Has(startup.SpanPodStartup, startup.SpanStartup, startup.SpanServerReady))
		return err
	})
	if err != nil && drawn != nil {
		// A trace in part tells where to look.
		fmt.Print("\n" + trace.Waterfall(drawn, terminal()))
	}
	return drawn, err
}

// start starts the endpoint anew and returns its pod when it is ready.
func start(ctx context.Context, s *stage.Stage, namespace string) (*corev1.Pod, error) {
	manifest, err := s.Manifest("endpoint.yaml")
	if err != nil {
		return nil, err
	}
	// An endpoint that a former run has left would be ready at once.
	if err := s.Delete(ctx, namespace, manifest); err != nil {
		return nil, fmt.Errorf("remove the last endpoint: %w", err)
	}
	if err := s.Apply(ctx, namespace, manifest); err != nil {
		return nil, fmt.Errorf("apply the endpoint: %w", err)
	}
	ready, cancel := context.WithTimeout(ctx, readyIn)
	defer cancel()
	return s.AwaitPod(ready, namespace, selector, s.Milestones(stage.Ready))
}

// mostAdvice is said under the drawing.
const mostAdvice = 3

func draw(s *stage.Stage, t *trace.Trace) (string, error) {
	fmt.Print("\n" + trace.Waterfall(t, terminal()))
	page, err := trace.Page([]*trace.Trace{t}, t, func(t *trace.Trace) []trace.Advised { return advice.Advised(t, nil, mostAdvice) })
	if err != nil {
		return "", fmt.Errorf("render page: %w", err)
	}
	path := filepath.Join(s.Dir(), "start.html")
	if err := os.WriteFile(path, page, 0o644); err != nil { //nolint:gosec // to be opened in a browser
		return "", fmt.Errorf("write page: %w", err)
	}
	return path, nil
}

// finish stops the cluster, or says how to go on with it.
func finish(s *stage.Stage, keep bool) error {
	if keep || !s.Owned() && !s.Guest() {
		s.Keep()
		files, err := s.TelemetryFiles()
		if err != nil {
			return err
		}
		fmt.Println("\nIt is still there. To look around, and to remove it:")
		if !s.Guest() {
			fmt.Printf("  export KUBECONFIG=%s\n  %s get pods -A\n", s.Kubeconfig(), s.Path(filepath.Join(s.Checkout(), ".cluster", "bin", "kubectl")))
		}
		for _, file := range files {
			fmt.Println("  go run ./cmd/coldtrace trace", s.Path(file))
		}
		fmt.Println(" ", s.Removal())
		return nil
	}
	fmt.Println("\nCleaning up (KEEP=1 make demo … keeps it)")
	if err := s.Close(); err != nil {
		return fmt.Errorf("clean up: %w", err)
	}
	return nil
}

func terminal() trace.Options {
	fd := int(os.Stdout.Fd())
	if !term.IsTerminal(fd) {
		return trace.Options{}
	}
	width, _, err := term.GetSize(fd)
	if err != nil {
		width = 0
	}
	_, noColour := os.LookupEnv("NO_COLOR")
	return trace.Options{Width: width, Colour: !noColour}
}
