// SPDX-License-Identifier: Apache-2.0

package registration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
)

var differing = prometheus.NewGaugeVec(prometheus.GaugeOpts{
	Name: "coldtrace_webhook_configuration_differs",
	Help: "1 for each field in which the webhook configuration is not as installed; told by the leader.",
}, []string{"field"})

func init() { ctrlmetrics.Registry.MustRegister(differing) }

// again is how often to look when nothing seems to happen: what was installed changes without an event.
const again = time.Minute

// Config is what a Keeper needs.
type Config struct {
	Client    kubernetes.Interface
	Namespace string // own
	ConfigMap string // that holds Key
	Webhook   string // name of the MutatingWebhookConfiguration
	Log       logr.Logger
	Now       func() time.Time // time.Now if nil
}

// Keeper is the leader's: it compares whenever the configuration changes.
type Keeper struct {
	config Config
	reader client.Reader
	told   []Field
}

// NewKeeper adds a keeper to the manager, to run on the leader. The manager's cache must hold the webhook configuration.
func NewKeeper(mgr ctrl.Manager, c Config) (*Keeper, error) {
	switch {
	case c.Client == nil:
		return nil, errors.New("registration: a client is needed")
	case c.Namespace == "" || c.ConfigMap == "":
		return nil, errors.New("registration: the ConfigMap's namespace and name are needed")
	case c.Webhook == "":
		return nil, errors.New("registration: the name of the webhook configuration is needed")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	k := &Keeper{config: c, reader: mgr.GetClient()}
	one := func(context.Context, client.Object) []ctrl.Request {
		return []ctrl.Request{{NamespacedName: types.NamespacedName{Name: c.Webhook}}}
	}
	leader := true
	err := ctrl.NewControllerManagedBy(mgr).Named("registration").
		WithOptions(controller.Options{NeedLeaderElection: &leader, MaxConcurrentReconciles: 1}).
		Watches(&admissionv1.MutatingWebhookConfiguration{}, handler.EnqueueRequestsFromMapFunc(one)).
		Complete(k)
	if err != nil {
		return nil, fmt.Errorf("set up registration keeper: %w", err)
	}
	return k, nil
}

// Reconcile compares and tells what is new.
func (k *Keeper) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	got := &admissionv1.MutatingWebhookConfiguration{}
	if err := k.reader.Get(ctx, types.NamespacedName{Name: k.config.Webhook}, got); client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("get webhook configuration: %w", err)
	}
	// Not from a cache or a mounted file, which would be behind an upgrade that changes both.
	installed, err := k.config.Client.CoreV1().ConfigMaps(k.config.Namespace).Get(ctx, k.config.ConfigMap, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		k.config.Log.Info("Nothing says how the webhook was installed; edits are not reported", "configMap", k.config.ConfigMap)
		return ctrl.Result{RequeueAfter: again}, nil
	case err != nil:
		return ctrl.Result{}, fmt.Errorf("get what was installed: %w", err)
	}
	want, err := Parse(installed.Data[Key])
	if err != nil {
		return ctrl.Result{}, err
	}
	found := Differences(want, got.Webhooks)
	for _, f := range Fields() {
		value := 0.0
		if slices.Contains(found, f) {
			value = 1
		}
		differing.WithLabelValues(string(f)).Set(value)
	}
	if !slices.Equal(found, k.told) {
		k.tell(ctx, got, found)
		k.told = found
	}
	return ctrl.Result{RequeueAfter: again}, nil
}

// tell writes the log and an Event on the configuration.
func (k *Keeper) tell(ctx context.Context, got *admissionv1.MutatingWebhookConfiguration, found []Field) {
	reason, kind, message := "ColdtraceConfigurationRestored", corev1.EventTypeNormal, "The webhook configuration is as it was installed."
	if len(found) > 0 {
		names := make([]string, len(found))
		for i, f := range found {
			names[i] = string(f)
		}
		reason, kind = "ColdtraceConfigurationEdited", corev1.EventTypeWarning
		message = fmt.Sprintf("Not as installed: %s. `helm upgrade` of the release puts it back.", strings.Join(names, ", "))
	}
	k.config.Log.Info("The webhook configuration was looked at", "webhookConfiguration", k.config.Webhook, "differs", found)
	now := metav1.NewTime(k.config.Now())
	// Events on what is in no namespace belong into this one.
	_, err := k.config.Client.CoreV1().Events(metav1.NamespaceDefault).Create(ctx, &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "coldtrace-", Namespace: metav1.NamespaceDefault},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "MutatingWebhookConfiguration", Name: k.config.Webhook, UID: got.UID,
		},
		Reason: reason, Type: kind, Message: message,
		Source:         corev1.EventSource{Component: "coldtrace"},
		FirstTimestamp: now, LastTimestamp: now, Count: 1, ReportingController: "coldtrace.io/registration",
	}, metav1.CreateOptions{})
	if err != nil {
		k.config.Log.V(1).Info("An Event was not written", "error", err.Error())
	}
}
