// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/coldtrace/coldtrace/webhook"
	"github.com/coldtrace/coldtrace/webhook/breaker"
	"github.com/coldtrace/coldtrace/webhook/certificate"
)

// newManager makes a manager whose cache holds one Secret, one ConfigMap, one webhook configuration, the metadata of labelled
// namespaces and a few fields of nodes, and nothing else.
func newManager(c *rest.Config, o serveOptions, log logr.Logger) (ctrl.Manager, error) {
	named := func(name string) fields.Selector { return fields.OneTermEqualSelector("metadata.name", name) }
	grace := 10 * time.Second
	lease, renew, retry := 30*time.Second, 20*time.Second, 3*time.Second
	mgr, err := ctrl.NewManager(c, ctrl.Options{
		Logger:                 log,
		Metrics:                metricsserver.Options{BindAddress: o.metricsAddr},
		HealthProbeBindAddress: o.healthAddr,
		Cache: cache.Options{
			ByObject: map[client.Object]cache.ByObject{
				&corev1.Secret{}: {Namespaces: map[string]cache.Config{o.namespace: {FieldSelector: named(o.secret)}}},
				&admissionv1.MutatingWebhookConfiguration{}: {Field: named(o.configuration)},
				&corev1.ConfigMap{}:                         {Namespaces: map[string]cache.Config{o.namespace: {FieldSelector: named(breaker.Name)}}},
				&corev1.Node{}:                              {Transform: webhook.TrimNode},
				webhook.NamespaceKind():                     webhook.NamespaceCache(),
			},
		},
		// Only the own CA needs a leader. Without one nobody stands for election: replicas with a certificate from files would
		// keep the lease from those that shall bring the own CA back, and wait for them to be ready.
		LeaderElection:                o.leaderElect && o.webhook && o.certDir == "",
		LeaderElectionID:              leaderLease,
		LeaderElectionNamespace:       o.namespace,
		LeaderElectionReleaseOnCancel: true,
		// Losing the lease ends the process, so a restart of the API server must fit into the deadline.
		LeaseDuration:           &lease,
		RenewDeadline:           &renew,
		RetryPeriod:             &retry,
		GracefulShutdownTimeout: &grace,
	})
	if err != nil {
		return nil, fmt.Errorf("make manager: %w", err)
	}
	return mgr, nil
}

// newServer makes the webhook's server. Without a source the certificate comes in files.
func newServer(o serveOptions, source *certificate.Source, log logr.Logger) (*webhook.Server, error) {
	conf := &tls.Config{
		MinVersion: tls.VersionTLS13,
		// The API server's webhook client speaks HTTP/1.1 alone: kubernetes#75791.
		NextProtos: []string{"http/1.1"},
	}
	if source != nil {
		conf.GetCertificate = source.GetCertificate
	}
	if o.clientCA != "" {
		ca, err := certificate.OpenClientCA(o.clientCA, log.WithName("clientCA"))
		if err != nil {
			return nil, err
		}
		ca.Require(conf)
	}
	return webhook.NewServer(webhook.ServerConfig{Port: o.webhookPort, CertDir: o.certDir, TLS: conf, Log: log.WithName("server")})
}

// certificates sets up the own CA and is the source of what it signs; nil: the certificate comes in files.
func certificates(mgr ctrl.Manager, o serveOptions, log logr.Logger) (*certificate.Source, error) {
	if o.certDir != "" {
		return nil, nil
	}
	c := certificate.Config{
		Client:   mgr.GetClient(),
		Secret:   types.NamespacedName{Namespace: o.namespace, Name: o.secret},
		Webhook:  o.configuration,
		DNSNames: o.names(),
		Times:    o.times,
		Log:      log,
	}
	if _, err := certificate.NewKeeper(mgr, c); err != nil {
		return nil, err
	}
	return certificate.NewSource(mgr, c)
}
