// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Source is every replica's half: it signs a leaf with the Secret's CA and serves it.
type Source struct {
	config  Config
	leaf    atomic.Pointer[tls.Certificate]
	trusted atomic.Bool // whether the published bundle verifies the leaf
}

// NewSource adds a source to the manager, to run on every replica.
func NewSource(mgr ctrl.Manager, config Config) (*Source, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	s := &Source{config: config}
	if err := watchBoth(mgr, "certificate-source", config, false, s); err != nil {
		return nil, fmt.Errorf("set up certificate source: %w", err)
	}
	return s, nil
}

// GetCertificate is for tls.Config.
func (s *Source) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if leaf := s.leaf.Load(); leaf != nil {
		return leaf, nil
	}
	return nil, errors.New("no serving certificate yet")
}

// Ready is nil if the API server would accept the certificate that is served.
func (s *Source) Ready() error {
	leaf := s.leaf.Load()
	switch {
	case leaf == nil:
		return errors.New("no serving certificate yet")
	case !s.trusted.Load():
		return errors.New("the webhook configuration's CA bundle does not verify the serving certificate")
	case s.config.Now().After(leaf.Leaf.NotAfter):
		return errors.New("the serving certificate has expired")
	}
	return nil
}

// NotAfter is when the served leaf expires, zero without one.
func (s *Source) NotAfter() time.Time {
	if leaf := s.leaf.Load(); leaf != nil {
		return leaf.Leaf.NotAfter
	}
	return time.Time{}
}

// Reconcile signs a leaf if one is due.
func (s *Source) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	webhook, err := getWebhook(ctx, s.config)
	if err != nil {
		return ctrl.Result{}, err
	}
	secret := &corev1.Secret{}
	if err := s.config.Client.Get(ctx, s.config.Secret, secret); client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("get CA secret: %w", err)
	}
	published, now := publishedBundle(webhook), s.config.Now()
	state, err := decode(secret.Data)
	// Without a CA, or with one that the API server doesn't trust yet, the leaf in use goes on; the keeper changes
	// either object next, and that calls again.
	if err == nil && published.Contains(state.Active.Cert) && s.due(state, now) {
		leaf, err := state.Active.Leaf(s.config.DNSNames, now, s.config.Times.Leaf)
		if err != nil {
			return ctrl.Result{}, err
		}
		s.leaf.Store(leaf)
		s.config.Log.Info("Signed a serving certificate", "notAfter", leaf.Leaf.NotAfter)
	}
	leaf := s.leaf.Load()
	if leaf == nil {
		return ctrl.Result{}, nil
	}
	s.trusted.Store(published.verifies(leaf.Leaf, s.config.DNSNames[0], now))
	return ctrl.Result{RequeueAfter: max(time.Second, min(renewAt(leaf).Sub(now), time.Hour))}, nil
}

// due: there is no leaf, it is in the last third of its life, or another CA has become the active one.
func (s *Source) due(state State, now time.Time) bool {
	leaf := s.leaf.Load()
	return leaf == nil || !now.Before(renewAt(leaf)) || leaf.Leaf.CheckSignatureFrom(state.Active.Cert) != nil
}

func renewAt(leaf *tls.Certificate) time.Time {
	life := leaf.Leaf.NotAfter.Sub(leaf.Leaf.NotBefore) - backdate
	return leaf.Leaf.NotAfter.Add(-life / 3)
}
