// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/watch"
	"github.com/coldtrace/coldtrace/webhook"
	"github.com/coldtrace/coldtrace/webhook/breaker"
)

// instance is one process of coldtrace in a cluster: what its parts, admission and whatever the leader does, have in common.
type instance struct {
	serveOptions
	log      logr.Logger
	store    *config.Store
	rest     *rest.Config
	manager  ctrl.Manager
	clients  kubernetes.Interface
	server   *webhook.Server
	trusted  func() error // whether the API server would accept the serving certificate
	events   record.EventRecorder
	exporter *policyExporter
	self     *selfTelemetry // nil: no spans of coldtrace itself
	started  chan struct{}  // closed when the caches have synced
}

func newInstance(ctx context.Context, o serveOptions, log logr.Logger) (*instance, error) {
	r := &instance{serveOptions: o, log: log, started: make(chan struct{})}
	var err error
	if r.store, err = openPolicy(o.policy, log); err != nil {
		return nil, err
	}
	if r.rest, err = ownCluster(); err != nil {
		return nil, err
	}
	if r.manager, err = newManager(r.rest, o, log.V(1)); err != nil {
		return nil, err
	}
	if r.clients, err = kubernetes.NewForConfigAndClient(r.rest, r.manager.GetHTTPClient()); err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	broadcaster := record.NewBroadcaster(record.WithContext(ctx)) // which also ends it
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: r.clients.CoreV1().Events("")})
	r.events = broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "coldtrace"})
	r.exporter = &policyExporter{policy: r.store.Policy, log: log.WithName("exporter")}
	if o.selfTraces > 0 {
		r.self = newSelfTelemetry(r.exporter, os.Getenv(startup.EnvPodName), o.selfTraces, log.WithName("selfTelemetry"))
		err = r.add(r.self)
	}
	synced := onEveryReplica(func(ctx context.Context) error {
		// The manager starts this one after its caches have synced.
		close(r.started)
		<-ctx.Done()
		return nil
	})
	return r, errors.Join(err, r.add(onEveryReplica(r.store.Run), synced))
}

// openPolicy reads the policy file and says when it changes.
func openPolicy(path string, log logr.Logger) (*config.Store, error) {
	store, err := readPolicy(path)
	if err != nil {
		return nil, err
	}
	webhook.ObservePolicy(nil)
	store.OnChange = func(_ *config.Policy, err error) {
		webhook.ObservePolicy(err)
		if err != nil {
			log.Error(err, "The policy file is bad; the last good one stays")
			return
		}
		log.Info("The policy changed")
	}
	return store, nil
}

func (r *instance) add(runnables ...manager.Runnable) error {
	for _, runnable := range runnables {
		if err := r.manager.Add(runnable); err != nil {
			return fmt.Errorf("add to manager: %w", err)
		}
	}
	return nil
}

// listener makes the server of the webhook and what its certificate comes from.
func (r *instance) listener() error {
	source, err := certificates(r.manager, r.serveOptions, r.log.WithName("certificate"))
	if err != nil {
		return err
	}
	r.trusted = func() error {
		if source == nil {
			// Without a right on webhook configurations nobody here can tell whether the API server trusts it.
			return nil
		}
		webhook.ObserveExpiry(source.NotAfter())
		return source.Ready()
	}
	r.server, err = newServer(r.serveOptions, source, r.log)
	return err
}

// admission is what every replica does that has a webhook.
func (r *instance) admission(ctx context.Context) (*webhook.Handler, error) {
	if err := r.listener(); err != nil {
		return nil, err
	}
	namespaces, err := webhook.NewNamespaces(ctx, r.manager.GetCache())
	if err != nil {
		return nil, err
	}
	nodes := webhook.NewNodes(r.manager.GetCache(), r.clients.Discovery(), r.store.Policy, r.log.WithName("nodes"))
	gate, err := breaker.NewGate(ctx, r.manager.GetCache(), r.log.WithName("breaker"))
	if err != nil {
		return nil, err
	}
	handler, err := webhook.NewHandler(webhook.Config{
		Version:      version,
		Log:          r.log.WithName("admission"),
		Policy:       r.store.Policy,
		Namespace:    namespaces.Annotations,
		ImageVolumes: r.imageVolumesFunc(nodes),
		Entrypoint:   webhook.NewEntrypoints(r.clients, r.pullSecrets, r.log.WithName("registry")).Lookup,
		NoWrapper: func(s *webhook.Candidate) inject.Reason {
			return gate.State().NoWrapper(s.Namespace, s.Labels, s.Owner.Kind, s.Owner.Name)
		},
		NoImageVolume: func(namespace string) inject.Reason { return gate.State().NoImageVolume(namespace) },
		Observe:       webhook.Events(r.events),
		Tracer:        r.self.tracer("webhook"),
		Connected:     r.server.Connected,
		Started:       r.started,
		MaxBodyBytes:  r.maxBody,
		MaxConcurrent: r.maxConcurrent,
		Timeout:       r.timeout,
	})
	if err != nil {
		return nil, err
	}
	r.server.Register(webhook.Path, handler)
	return handler, r.add(r.server, nodes)
}

// leadership is what one replica does: it watches, and judges the pods that it sees. What it writes has an owner.
func (r *instance) leadership(ctx context.Context) error {
	owned := &belongings{client: r.clients, namespace: r.namespace, owner: r.owner, log: r.log.WithName("belongings")}
	log, tracer := r.log.WithName("watcher"), r.self.tracer("watch")
	jobs := []func(context.Context) error{owned.Start}
	cfg := watch.Config{
		REST:          r.rest,
		Namespace:     r.namespace,
		Owners:        owned.Owners,
		Policy:        r.store.Policy,
		Exporter:      &observedExporter{r.exporter, startup.ServiceWatcher, tracer},
		Inside:        &observedExporter{r.exporter, startup.ServiceWrapper, tracer},
		LogNamespaces: r.logs,
		Events:        r.events,
		Tracer:        tracer,
		Version:       version,
		Log:           log,
		Metrics:       ctrlmetrics.Registry,
	}
	if r.webhook {
		keeper := breaker.NewKeeper(r.clients, r.namespace, owned.Owners, r.events, r.log.WithName("breaker"))
		cfg.OnPod, cfg.OnRefusal = keeper.Observe, keeper.ObserveEvent
		jobs = append(jobs, keeper.Start)
	}
	watcher, err := watch.New(cfg)
	if err != nil {
		return fmt.Errorf("make watcher: %w", err)
	}
	return r.add(&leader{
		client: r.clients, namespace: r.namespace, alone: !r.leaderElect, until: ctx, jobs: append(jobs, watcher.Start), log: log,
	})
}

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
