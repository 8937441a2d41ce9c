// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Config is what Keeper and Source share.
type Config struct {
	Client   client.Client // reads of the two objects come from a cache
	Secret   types.NamespacedName
	Webhook  string           // name of the MutatingWebhookConfiguration
	DNSNames []string         // of the serving certificate; the first is the one the API server asks for
	Times    Times            // DefaultTimes where zero
	Now      func() time.Time // time.Now if nil
	Log      logr.Logger
}

func (c *Config) complete() error {
	switch {
	case c.Client == nil:
		return errors.New("certificate: a client is needed")
	case c.Secret.Name == "" || c.Secret.Namespace == "":
		return errors.New("certificate: the Secret's namespace and name are needed")
	case c.Webhook == "":
		return errors.New("certificate: the name of the webhook configuration is needed")
	case len(c.DNSNames) == 0:
		return errors.New("certificate: a DNS name is needed")
	}
	d := DefaultTimes()
	c.Times.CA, c.Times.Leaf, c.Times.Overlap = cmp.Or(c.Times.CA, d.CA), cmp.Or(c.Times.Leaf, d.Leaf), cmp.Or(c.Times.Overlap, d.Overlap)
	if min(c.Times.CA, c.Times.Leaf, c.Times.Overlap) < 0 {
		return errors.New("certificate: times can't be negative")
	}
	// A CA is replaced at two thirds of its life; both overlaps must end before it does.
	if c.Times.CA < 9*c.Times.Overlap || c.Times.CA <= c.Times.Leaf {
		return errors.New("certificate: a CA must live longer than a leaf and nine overlaps")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return nil
}

// Keeper is the leader's half: it makes and replaces the CA and keeps the bundle in the webhook configuration current.
type Keeper struct {
	config Config
	// last is the Secret's state as last seen or written. A Secret that was deleted or damaged is restored from it.
	last *State
}

// NewKeeper adds a keeper to the manager, to run on the leader.
func NewKeeper(mgr ctrl.Manager, config Config) (*Keeper, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	k := &Keeper{config: config}
	if err := watchBoth(mgr, "certificate-keeper", config, true, k); err != nil {
		return nil, fmt.Errorf("set up certificate keeper: %w", err)
	}
	return k, nil
}

// Reconcile does what is due: restore or make the CA, publish its bundle, do a step of a rotation.
func (k *Keeper) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	secret, found, err := k.secret(ctx)
	if err != nil {
		return ctrl.Result{}, err
	}
	webhook, err := getWebhook(ctx, k.config)
	if err != nil {
		return ctrl.Result{}, err
	}
	published := publishedBundle(webhook)
	now, rotate := k.config.Now(), secret.Annotations[RotateAnnotation]

	state, dirty, err := k.current(secret, published, now)
	if err != nil {
		return ctrl.Result{}, err
	}
	state, step, wait, err := state.advance(k.config.Secret.Name, published, rotate, now, k.config.Times)
	if err != nil {
		return ctrl.Result{}, err
	}
	if dirty || step != stepNone {
		if err := k.write(ctx, secret, found, state); err != nil {
			return retryConflict(err)
		}
	}
	k.last = &state
	if step != stepNone {
		k.config.Log.Info("CA rotation went on", "step", step, "trusted", len(state.Trusted))
	}
	if err := k.publish(ctx, webhook, state.Trusted); err != nil {
		return retryConflict(err)
	}
	// A long wait is cut: timers stand still while a machine sleeps.
	return ctrl.Result{RequeueAfter: max(time.Millisecond, min(wait, time.Hour))}, nil
}

// current is the state to go on from, and whether it differs from what the Secret holds.
func (k *Keeper) current(secret *corev1.Secret, published Bundle, now time.Time) (State, bool, error) {
	state, err := decode(secret.Data)
	untrusted := func(c *x509.Certificate) bool { return !state.Trusted.Contains(c) }
	switch {
	case err == nil && !published.Contains(state.Active.Cert) && slices.ContainsFunc(published.valid(now), untrusted):
		// Someone put another CA in place. What the API server trusts stays trusted until replicas have moved.
		state.trust(published.valid(now)...)
		state.Promoted = now
		return state, true, nil
	case err == nil:
		return state, false, nil
	case k.last != nil:
		k.config.Log.Info("Restoring the CA in its Secret", "reason", err.Error())
		return *k.last, true, nil
	}
	k.config.Log.Info("Making a CA", "reason", err.Error())
	state, err = newState(k.config.Secret.Name, published, secret.Annotations[RotateAnnotation], now, k.config.Times)
	return state, true, err
}

func (k *Keeper) secret(ctx context.Context) (*corev1.Secret, bool, error) {
	secret := &corev1.Secret{}
	switch err := k.config.Client.Get(ctx, k.config.Secret, secret); {
	case apierrors.IsNotFound(err):
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
			Namespace: k.config.Secret.Namespace, Name: k.config.Secret.Name,
		}}, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("get CA secret: %w", err)
	}
	return secret.DeepCopy(), true, nil
}

func (k *Keeper) write(ctx context.Context, secret *corev1.Secret, found bool, state State) error {
	data, err := state.encode()
	if err != nil {
		return err
	}
	secret.Data = data
	if found {
		err = k.config.Client.Update(ctx, secret)
	} else {
		err = k.config.Client.Create(ctx, secret)
	}
	if err != nil {
		return fmt.Errorf("write CA secret: %w", err)
	}
	return nil
}

// publish puts the bundle into every webhook of the configuration, by operations on that field alone: a typed update
// would drop fields of a newer API server.
func (k *Keeper) publish(ctx context.Context, webhook *admissionv1.MutatingWebhookConfiguration, bundle Bundle) error {
	var ops []jsonpatch.Operation
	for i, w := range webhook.Webhooks {
		if string(w.ClientConfig.CABundle) == string(bundle.PEM()) {
			continue
		}
		at := fmt.Sprintf("/webhooks/%d", i)
		ops = append(ops,
			jsonpatch.NewOperation("test", at+"/name", w.Name),
			jsonpatch.NewOperation("add", at+"/clientConfig/caBundle", bundle.PEM()))
	}
	if len(ops) == 0 {
		return nil
	}
	patch, err := json.Marshal(ops)
	if err != nil {
		return fmt.Errorf("encode CA bundle patch: %w", err)
	}
	target := &admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: webhook.Name}}
	if err := k.config.Client.Patch(ctx, target, client.RawPatch(types.JSONPatchType, patch)); err != nil {
		return fmt.Errorf("publish CA bundle: %w", err)
	}
	k.config.Log.Info("Published the CA bundle", "webhookConfiguration", webhook.Name, "trusted", len(bundle))
	return nil
}

// publishedBundle is what every webhook of the configuration trusts.
func publishedBundle(c *admissionv1.MutatingWebhookConfiguration) Bundle {
	var out Bundle
	for i, w := range c.Webhooks {
		b := DecodeBundle(w.ClientConfig.CABundle)
		if i == 0 {
			out = b
			continue
		}
		out = slices.DeleteFunc(out, func(c *x509.Certificate) bool { return !b.Contains(c) })
	}
	return out
}

func getWebhook(ctx context.Context, c Config) (*admissionv1.MutatingWebhookConfiguration, error) {
	webhook := &admissionv1.MutatingWebhookConfiguration{}
	if err := c.Client.Get(ctx, types.NamespacedName{Name: c.Webhook}, webhook); err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("get webhook configuration: %w", err)
	}
	return webhook, nil // an absent one has no webhooks: nothing to publish, and its creation is an event
}

// retryConflict tries again at once where the cache was behind.
func retryConflict(err error) (ctrl.Result, error) {
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return ctrl.Result{RequeueAfter: 50 * time.Millisecond}, nil
	}
	return ctrl.Result{}, err
}

// watchBoth runs the reconciler whenever the Secret or the webhook configuration changes.
func watchBoth(mgr ctrl.Manager, name string, c Config, leader bool, r reconcile.Reconciler) error {
	one := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []ctrl.Request {
		if o.GetName() != c.Secret.Name && o.GetName() != c.Webhook {
			return nil
		}
		return []ctrl.Request{{NamespacedName: c.Secret}}
	})
	return ctrl.NewControllerManagedBy(mgr).Named(name).
		WithOptions(controller.Options{NeedLeaderElection: &leader, MaxConcurrentReconciles: 1}).
		Watches(&corev1.Secret{}, one).
		Watches(&admissionv1.MutatingWebhookConfiguration{}, one).
		Complete(r)
}
