// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/inject/registry"
)

var lookups = prometheus.NewHistogramVec(prometheus.HistogramOpts{
	Name:    "coldtrace_registry_lookup_duration_seconds",
	Help:    "Questions for an image's entrypoint, answers from memory included, by result: ok, failed.",
	Buckets: []float64{.001, .01, .05, .1, .25, .5, 1, 1.5},
}, []string{"result"})

// Entrypoints asks registries what images run. It is used only under a policy with registryLookup.
type Entrypoints struct {
	registries *registry.Registries
	client     kubernetes.Interface
	namespaces []string
	log        logr.Logger
}

// NewEntrypoints makes it. Pull secrets are read in the namespaces named and nowhere else: there, and only for a pod
// whose image is not remembered, an admission waits for the API server, within the look-up's one second.
func NewEntrypoints(client kubernetes.Interface, pullSecretNamespaces []string, log logr.Logger) *Entrypoints {
	e := &Entrypoints{client: client, namespaces: pullSecretNamespaces, log: log}
	e.registries = registry.New(e.keychain, time.Second)
	return e
}

// Lookup is the image's ENTRYPOINT and CMD; nil if they can't be had within a second or before the context ends.
func (e *Entrypoints) Lookup(ctx context.Context, namespace string, pod *endpoint.Pod, image string) (entrypoint, cmd []string) {
	begun, result := time.Now(), "ok"
	c, err := e.registries.Lookup(ctx, namespace, pod, image)
	if err != nil {
		result = "failed"
		e.log.V(1).Info("An image's entrypoint could not be looked up", "namespace", namespace, "image", image, "error", err.Error())
	}
	lookups.WithLabelValues(result).Observe(time.Since(begun).Seconds())
	return c.Entrypoint, c.Cmd
}

// keychain reads the secrets that a pod names. Those of its service account are among them: the API server has put
// them there before it asks a webhook.
func (e *Entrypoints) keychain(ctx context.Context, namespace string, pod *endpoint.Pod) (authn.Keychain, error) {
	var secrets registry.Secrets
	if !slices.Contains(e.namespaces, namespace) {
		return secrets, nil
	}
	for _, ref := range pod.Spec.ImagePullSecrets {
		s, err := e.client.CoreV1().Secrets(namespace).Get(ctx, ref.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue // the kubelet does without it, too
		}
		if err != nil {
			return nil, fmt.Errorf("get secret %s: %w", ref.Name, err)
		}
		if data, ok := s.Data[corev1.DockerConfigJsonKey]; ok && s.Type == corev1.SecretTypeDockerConfigJson {
			secrets = append(secrets, data)
		}
	}
	return secrets, nil
}

// entrypoint fills in what the image runs, where that is unknown and the policy lets a registry be asked.
func (h *Handler) entrypoint(in *inject.Request, deadline time.Time) {
	if h.config.Entrypoint == nil || !in.Policy.RegistryLookup {
		return
	}
	image, ok := inject.WantsEntrypoint(*in)
	if !ok {
		return
	}
	// What is left of the time must suffice to decide and answer.
	const rest = 100 * time.Millisecond
	ctx, cancel := context.WithDeadline(context.Background(), deadline.Add(-rest))
	defer cancel()
	in.Entrypoint, in.Cmd = h.config.Entrypoint(ctx, in.Namespace, in.Pod, image)
}
