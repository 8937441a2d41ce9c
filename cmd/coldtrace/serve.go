// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/coldtrace/coldtrace/webhook/certificate"
)

// serveOptions are the flags of `coldtrace serve`. docs: charts/coldtrace sets them from its values.
type serveOptions struct {
	policy        string
	namespace     string
	service       string
	configuration string
	secret        string
	owner         string
	dnsNames      []string
	certDir       string
	clientCA      string
	times         certificate.Times
	webhookPort   int
	metricsAddr   string
	healthAddr    string
	leaderElect   bool
	webhook       bool
	logs          []string
	drainQuiet    time.Duration
	drainMost     time.Duration
	maxBody       int64
	maxConcurrent int
	timeout       time.Duration
	imageVolumes  string
	pullSecrets   []string
	selfTraces    float64
	verbose       bool
}

func newServeCommand() *cobra.Command {
	o := serveOptions{}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the admission webhook and the watcher in a cluster",
		Long: `Runs the admission webhook and the watcher, as the chart does in a cluster. With
--webhook=false it only watches, wherever it runs.`,
		Example: `  coldtrace serve --webhook=false --namespace coldtrace-system \
    --policy policy.yaml`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), o, cmd.Flags()) },
	}
	d := certificate.DefaultTimes()
	f := cmd.Flags()
	f.StringVar(&o.policy, "policy", "", "policy file; empty: the defaults")
	f.StringVar(&o.namespace, "namespace", os.Getenv("POD_NAMESPACE"), "own namespace")
	f.StringVar(&o.service, "service", "coldtrace", "name of the webhook's Service")
	f.StringVar(&o.configuration, "webhook-configuration", "coldtrace", "name of the MutatingWebhookConfiguration")
	f.StringVar(&o.secret, "ca-secret", "coldtrace-ca", "name of the Secret that holds the CA")
	f.StringVar(&o.owner, "owner", "", "name of a ConfigMap that what is made at run time belongs to, and goes with; empty: it stays")
	f.StringSliceVar(&o.dnsNames, "dns-names", nil, "names of the certificate instead of the Service's, for an API server that calls a URL")
	f.StringVar(&o.certDir, "cert-dir", "", "folder with tls.crt and tls.key that something else renews; empty: own CA")
	f.StringVar(&o.clientCA, "client-ca", "", "PEM file of the CA that the API server's client certificate must be from; empty: none is asked for")
	f.DurationVar(&o.times.CA, "ca-lifetime", d.CA, "life of a CA, replaced after two thirds of it")
	f.DurationVar(&o.times.Leaf, "leaf-lifetime", d.Leaf, "life of a serving certificate, renewed after two thirds of it")
	f.DurationVar(&o.times.Overlap, "ca-overlap", d.Overlap, "how long an old and a new CA are trusted together before each step")
	f.IntVar(&o.webhookPort, "webhook-port", 9443, "port of the webhook")
	f.StringVar(&o.metricsAddr, "metrics-address", ":8080", "address of /metrics; 0: none")
	f.StringVar(&o.healthAddr, "health-address", ":8081", "address of /healthz and /readyz")
	f.BoolVar(&o.leaderElect, "leader-elect", true, "elect a leader among replicas")
	f.BoolVar(&o.webhook, "webhook", true, "admit pods; false: only watch, with no right on webhook configurations and Secrets")
	f.StringSliceVar(&o.logs, "log-namespaces", nil, "namespaces in which the logs of containers may be read, * all: what happens inside of those that the wrapper is not in is told from them")
	f.DurationVar(&o.drainQuiet, "drain-quiet", 3*time.Second, "how long no request must have come before a shutdown goes on")
	f.DurationVar(&o.drainMost, "drain-most", 25*time.Second, "how long a shutdown waits for that at most")
	f.Int64Var(&o.maxBody, "max-body-bytes", 4<<20, "largest admission review that is read")
	f.IntVar(&o.maxConcurrent, "max-concurrent", 64, "admissions that are worked on at a time")
	f.DurationVar(&o.timeout, "timeout", 1500*time.Millisecond, "after this a pod is admitted unchanged; below the webhook configuration's timeoutSeconds")
	f.StringVar(&o.imageVolumes, "image-volumes", "auto", "whether nodes can mount images as volumes: auto (look), yes, no")
	completeFlag(cmd, "image-volumes", "auto", "yes", "no")
	f.StringSliceVar(&o.pullSecrets, "pull-secret-namespaces", nil, "namespaces whose pods' pull secrets are read for a policy with registryLookup; none: registries are asked anonymously")
	f.Float64Var(&o.selfTraces, "self-traces", 0, "share of admissions, watch batches and exports that coldtrace sends a trace of, 0 to 1; 0: none")
	f.BoolVar(&o.verbose, "verbose", false, "log every decision and what the libraries do")
	return cmd
}

// names are those that the API server may ask for; for a Service it asks for the first.
func (o *serveOptions) names() []string {
	if len(o.dnsNames) > 0 {
		return o.dnsNames
	}
	name := o.service + "." + o.namespace + ".svc"
	return []string{name, name + ".cluster.local"}
}

func (o *serveOptions) validate() error {
	switch {
	case o.namespace == "":
		return errors.New("--namespace or POD_NAMESPACE is needed")
	case o.imageVolumes != "auto" && o.imageVolumes != "yes" && o.imageVolumes != "no":
		return fmt.Errorf("--image-volumes %q: use auto, yes or no", o.imageVolumes)
	case o.selfTraces < 0 || o.selfTraces > 1:
		return fmt.Errorf("--self-traces %v: use a share from 0 to 1", o.selfTraces)
	case o.drainQuiet > o.drainMost:
		return errors.New("--drain-quiet is longer than --drain-most")
	}
	return nil
}

// effective are the settings in force, as they are logged. None is a secret.
func effective(flags *pflag.FlagSet) []any {
	out := []any{"version", version}
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" {
			out = append(out, f.Name, f.Value.String())
		}
	})
	return out
}

// serve runs one replica until the context ends.
func serve(ctx context.Context, o serveOptions, flags *pflag.FlagSet) error {
	if err := o.validate(); err != nil {
		return err
	}
	boundGarbage()
	log := newLogger(o.verbose)
	log.Info("Starting.", effective(flags)...)
	r, err := newInstance(ctx, o, log)
	if err != nil {
		return err
	}
	running, ready := ctx, func(*http.Request) error { return nil }
	if o.webhook {
		handler, err := r.admission(ctx)
		if err != nil {
			return err
		}
		ready = func(q *http.Request) error {
			return errors.Join(r.server.StartedChecker()(q), r.trusted(), handler.Ready(q))
		}
		// The manager stops only after the API server has stopped calling.
		var cancel context.CancelFunc
		running, cancel = handler.Drain(ctx, o.drainQuiet, o.drainMost)
		defer cancel()
	}
	if err := r.leadership(ctx); err != nil {
		return err
	}
	synced := func(q *http.Request) error {
		select {
		case <-r.started:
			return ready(q)
		default:
			return errors.New("caches have not synced")
		}
	}
	alive := func(*http.Request) error { return nil }
	if err := errors.Join(r.manager.AddReadyzCheck("webhook", synced), r.manager.AddHealthzCheck("alive", alive)); err != nil {
		return fmt.Errorf("add checks: %w", err)
	}
	if err := r.manager.Start(running); err != nil {
		return fmt.Errorf("run: %w", err)
	}
	log.Info("Stopped.")
	return nil
}

// newLogger writes JSON lines to standard error, for this program and the libraries alike.
func newLogger(verbose bool) logr.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug // logr's V(1) to V(4)
	}
	log := logr.FromSlogHandler(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	// What the libraries do is of interest to someone who looks for a fault; their errors always are.
	ctrl.SetLogger(log.V(1))
	klog.SetLogger(log.V(1).WithName("client-go"))
	return log
}
