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
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/webhook"
	"github.com/coldtrace/coldtrace/webhook/breaker"
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
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), o) },
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
	f.DurationVar(&o.drainQuiet, "drain-quiet", 3*time.Second, "how long no request must have come before a shutdown goes on")
	f.DurationVar(&o.drainMost, "drain-most", 25*time.Second, "how long a shutdown waits for that at most")
	f.Int64Var(&o.maxBody, "max-body-bytes", 4<<20, "largest admission review that is read")
	f.IntVar(&o.maxConcurrent, "max-concurrent", 64, "admissions that are worked on at a time")
	f.DurationVar(&o.timeout, "timeout", 1500*time.Millisecond, "after this a pod is admitted unchanged; below the webhook configuration's timeoutSeconds")
	f.StringVar(&o.imageVolumes, "image-volumes", "auto", "whether nodes can mount images as volumes: auto (look), yes, no")
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

// serve wires everything and runs until the context ends.
func serve(ctx context.Context, o serveOptions) error {
	if err := o.validate(); err != nil {
		return err
	}
	boundGarbage()
	log := newLogger(o.verbose)
	log.Info("Starting.", "version", version, "policy", o.policy, "namespace", o.namespace, "service", o.service,
		"webhookConfiguration", o.configuration, "caSecret", o.secret, "owner", o.owner, "dnsNames", o.names(), "certDir", o.certDir, "clientCA", o.clientCA,
		"caLifetime", o.times.CA.String(), "leafLifetime", o.times.Leaf.String(), "caOverlap", o.times.Overlap.String(),
		"webhookPort", o.webhookPort, "metricsAddress", o.metricsAddr, "healthAddress", o.healthAddr,
		"leaderElect", o.leaderElect, "drainQuiet", o.drainQuiet.String(), "drainMost", o.drainMost.String(),
		"maxBodyBytes", o.maxBody, "maxConcurrent", o.maxConcurrent, "timeout", o.timeout.String(), "imageVolumes", o.imageVolumes, "pullSecretNamespaces", o.pullSecrets, "selfTraces", o.selfTraces)

	policy, err := config.Open(o.policy)
	if err != nil {
		return err
	}
	webhook.ObservePolicy(nil)
	policy.OnChange(func(_ *config.Policy, err error) {
		webhook.ObservePolicy(err)
		if err != nil {
			log.Error(err, "The policy file is bad; the last good one stays")
			return
		}
		log.Info("The policy changed")
	})

	restConfig, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the cluster: %w", err)
	}
	tlsSource := &lateCertificate{}
	server, err := newServer(o, tlsSource, log)
	if err != nil {
		return err
	}
	mgr, err := newManager(restConfig, o, log.V(1))
	if err != nil {
		return err
	}
	clients, err := kubernetes.NewForConfigAndClient(restConfig, mgr.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	certificates, err := serveCertificates(mgr, o, tlsSource, log.WithName("certificate"))
	if err != nil {
		return err
	}
	namespaces, err := webhook.NewNamespaces(ctx, mgr.GetCache())
	if err != nil {
		return err
	}
	nodes := webhook.NewNodes(mgr.GetCache(), clients.Discovery(), policy.Policy, log.WithName("nodes"))
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	defer broadcaster.Shutdown()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: clients.CoreV1().Events("")})
	events := broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "coldtrace"})
	gate, err := breaker.NewGate(ctx, mgr.GetCache(), log.WithName("breaker"))
	if err != nil {
		return err
	}
	owned := &belongings{client: clients, namespace: o.namespace, owner: o.owner, log: log.WithName("belongings")}
	keeper := breaker.NewKeeper(clients, o.namespace, owned.Owners, events, breaker.DefaultLimits(), log.WithName("breaker"))
	exporter := &policyExporter{policy: policy.Policy, log: log.WithName("exporter")}
	var self *selfTelemetry
	if o.selfTraces > 0 {
		self = newSelfTelemetry(exporter, os.Getenv("POD_NAME"), o.selfTraces, log.WithName("selfTelemetry"))
		if err := mgr.Add(self); err != nil {
			return fmt.Errorf("add to manager: %w", err)
		}
	}
	started := make(chan struct{})
	handler, err := webhook.NewHandler(webhook.Config{
		Version:       version,
		Log:           log.WithName("admission"),
		Policy:        policy.Policy,
		Namespace:     namespaces.Annotations,
		ImageVolumes:  o.imageVolumesFunc(nodes),
		Entrypoint:    webhook.NewEntrypoints(clients, o.pullSecrets, log.WithName("registry")).Lookup,
		NoWrapper:     func(s *webhook.Subject) inject.Reason { return gate.NoWrapper(s.Workload) },
		NoImageVolume: gate.NoImageVolume,
		Observe:       webhook.Events(events),
		Tracer:        self.tracer("webhook"),
		Connected:     server.Connected,
		Started:       started,
		MaxBodyBytes:  o.maxBody,
		MaxConcurrent: o.maxConcurrent,
		Timeout:       o.timeout,
	})
	if err != nil {
		return err
	}
	server.Register(webhook.Path, handler)

	for _, r := range []manager.Runnable{
		server,
		onEveryReplica(policy.Run),
		nodes,
		onEveryReplica(func(ctx context.Context) error {
			// The manager starts this one after its caches have synced.
			close(started)
			<-ctx.Done()
			return nil
		}),
	} {
		if err := mgr.Add(r); err != nil {
			return fmt.Errorf("add to manager: %w", err)
		}
	}
	watcher, err := newWatcher(restConfig, o.namespace, owned.Owners, policy, exporter, self.tracer("watch"), keeper, log.WithName("watcher"))
	if err != nil {
		return err
	}
	// The breaker judges the pods that the watcher sees, and what both write has an owner: they lead together.
	err = mgr.Add(&leader{
		client: clients, namespace: o.namespace, alone: !o.leaderElect, until: ctx,
		jobs: []func(context.Context) error{owned.Start, watcher.Start, keeper.Start}, log: log.WithName("watcher"),
	})
	if err != nil {
		return fmt.Errorf("add watcher: %w", err)
	}
	ready := func(r *http.Request) error {
		select {
		case <-started:
		default:
			return errors.New("caches have not synced")
		}
		return errors.Join(server.StartedChecker()(r), certificates(), handler.Ready(r))
	}
	if err := errors.Join(mgr.AddReadyzCheck("webhook", ready), mgr.AddHealthzCheck("alive", alive)); err != nil {
		return fmt.Errorf("add checks: %w", err)
	}
	// The manager stops only after the API server has stopped calling.
	running, cancel := handler.Drain(ctx, o.drainQuiet, o.drainMost)
	defer cancel()
	if err := mgr.Start(running); err != nil {
		return fmt.Errorf("run: %w", err)
	}
	log.Info("Stopped.")
	return nil
}

func alive(*http.Request) error { return nil }

func (o *serveOptions) imageVolumesFunc(nodes *webhook.Nodes) func() bool {
	switch o.imageVolumes {
	case "yes":
		return func() bool { return true }
	case "no":
		return func() bool { return false }
	}
	return nodes.ImageVolumes
}

// onEveryReplica is a Runnable that does not wait for leadership.
type onEveryReplica func(context.Context) error

func (f onEveryReplica) Start(ctx context.Context) error { return f(ctx) }

// NeedLeaderElection is false.
func (f onEveryReplica) NeedLeaderElection() bool { return false }

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
