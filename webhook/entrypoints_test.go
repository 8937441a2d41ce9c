// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"encoding/base64"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/inject"
)

// privateImage is an image in a registry on loopback that wants a password once the image is in it.
func privateImage(t *testing.T, password string) (image, host string, requests *atomic.Int32) {
	t.Helper()
	requests = &atomic.Int32{}
	closed := &atomic.Bool{}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if _, given, _ := r.BasicAuth(); closed.Load() && given != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="hub"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	host = strings.TrimPrefix(s.URL, "http://")
	what, err := mutate.Config(empty.Image, v1.Config{Entrypoint: []string{"vllm", "serve"}, Cmd: []string{"a/$b"}})
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(host + "/vllm:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, what); err != nil {
		t.Fatal(err)
	}
	closed.Store(password != "")
	requests.Store(0)
	return ref.String(), host, requests
}

// podWithoutCommand is an endpoint that leaves what to run to its image.
func podWithoutCommand(image string) string {
	return `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","labels":{"managed-by":"model-engine"}},"spec":{"imagePullSecrets":[{"name":"pull"}],` +
		`"containers":[{"name":"main","image":"` + image + `","resources":{"limits":{"nvidia.com/gpu":"1"}}}]}}`
}

func TestARegistryIsAskedOnlyUnderAPolicyThatSaysSo(t *testing.T) {
	image, host, requests := privateImage(t, "")
	_ = host
	for name, c := range map[string]struct {
		lookup  bool
		pod     string
		wrapped bool
		asked   bool
	}{
		"switched off":                       {false, podWithoutCommand(image), false, false},
		"switched on":                        {true, podWithoutCommand(image), true, true},
		"switched on, the pod has a command": {true, pod, true, false},
		"switched on, no GPU":                {true, strings.Replace(podWithoutCommand(image), "nvidia.com/gpu", "cpu", 1), false, false},
		"switched on, no such image":         {true, podWithoutCommand(host + "/none:1"), false, true},
	} {
		t.Run(name, func(t *testing.T) {
			requests.Store(0)
			var decided inject.Decision
			h := newTestHandler(t, func(cfg *Config) {
				cfg.Policy = func() *config.Policy { p := testPolicy(); p.RegistryLookup = c.lookup; return p }
				cfg.Entrypoint = NewEntrypoints(fake.NewClientset(), nil, logr.Discard()).Lookup
				cfg.Observe = func(_ *Candidate, d *inject.Decision) { decided = *d }
			})
			_, got := post(t, h, strings.NewReader(reviewOf(c.pod)))
			patch, err := base64.StdEncoding.DecodeString(got.Response.Patch)
			if err != nil {
				t.Fatal(err)
			}
			if slices.Contains(decided.Features, inject.FeatureWrapper) != c.wrapped || (requests.Load() > 0) != c.asked {
				t.Errorf("%+v after %d requests", decided, requests.Load())
			}
			if c.wrapped && c.asked && !strings.Contains(string(patch), `"vllm","serve","a/$$b"`) {
				t.Errorf("the command is not the image's: %s", patch)
			}
		})
	}
}

func TestPullSecretsAreReadInTheNamespacesNamedAndNowhereElse(t *testing.T) {
	image, host, requests := privateImage(t, "word")
	secret := func(namespace string) *corev1.Secret {
		return &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "pull"}, Type: corev1.SecretTypeDockerConfigJson,
			Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(`{"auths":{"` + host + `":{"username":"u","password":"word"}}}`)},
		}
	}
	client := fake.NewClientset(secret("named"), secret("other"))
	e := NewEntrypoints(client, []string{"named"}, logr.Discard())
	// The kubelet does without a secret that is not there, too.
	p := &endpoint.Pod{Spec: endpoint.PodSpec{ImagePullSecrets: []corev1.LocalObjectReference{{Name: "gone"}, {Name: "pull"}}}}
	if entrypoint, cmd := e.Lookup(t.Context(), "other", p, image); entrypoint != nil || cmd != nil || len(client.Actions()) != 0 {
		t.Errorf("elsewhere: %q after %v", entrypoint, client.Actions())
	}
	if entrypoint, _ := e.Lookup(t.Context(), "named", p, image); !slices.Equal(entrypoint, []string{"vllm", "serve"}) || len(client.Actions()) != 2 {
		t.Errorf("there: %q after %v", entrypoint, client.Actions())
	}
	before := requests.Load()
	if entrypoint, _ := e.Lookup(t.Context(), "named", p, image); entrypoint == nil || requests.Load() != before || len(client.Actions()) != 2 {
		t.Errorf("the second time: %q, asked again", entrypoint)
	}
}

func TestALookUpLeavesTimeToAnswer(t *testing.T) {
	var left time.Duration
	h := newTestHandler(t, func(cfg *Config) {
		cfg.Policy = func() *config.Policy { p := testPolicy(); p.RegistryLookup = true; return p }
		cfg.Timeout = 300 * time.Millisecond
		cfg.Entrypoint = func(ctx context.Context, _ string, _ *endpoint.Pod, _ string) ([]string, []string) {
			deadline, _ := ctx.Deadline()
			left = time.Until(deadline)
			<-ctx.Done()
			return nil, nil
		}
	})
	_, got := post(t, h, strings.NewReader(reviewOf(podWithoutCommand("example.test/vllm:1"))))
	if left <= 0 || left > 200*time.Millisecond || got.Response.AuditAnnotations["outcome"] != string(inject.Injected) {
		t.Errorf("%s were left, %+v", left, got.Response)
	}
}
