// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	server "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"k8s.io/apimachinery/pkg/util/cache"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/coldtrace/coldtrace/endpoint"
)

// hub is a registry on loopback that counts requests, and wants a password if it has one.
type hub struct {
	host     string
	requests atomic.Int32
	password string
	hold     chan struct{} // if not nil, requests wait for it
}

func newHub(t *testing.T) *hub {
	t.Helper()
	h := &hub{}
	inner := server.New(server.Logger(log.New(io.Discard, "", 0)))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.requests.Add(1)
		if h.hold != nil {
			select {
			case <-h.hold:
			case <-r.Context().Done():
			}
		}
		if _, password, _ := r.BasicAuth(); password != h.password {
			w.Header().Set("WWW-Authenticate", `Basic realm="hub"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	h.host = strings.TrimPrefix(s.URL, "http://")
	return h
}

func image(t *testing.T, entrypoint, cmd []string) v1.Image {
	t.Helper()
	out, err := mutate.Config(empty.Image, v1.Config{Entrypoint: entrypoint, Cmd: cmd})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// push stores an image and returns its reference by digest.
func (h *hub) push(t *testing.T, tag string, what remote.Taggable) string {
	t.Helper()
	ref, err := name.ParseReference(h.host + "/" + tag)
	if err != nil {
		t.Fatal(err)
	}
	switch what := what.(type) {
	case v1.Image:
		err = remote.Write(ref, what)
	case v1.ImageIndex:
		err = remote.WriteIndex(ref, what)
	}
	if err != nil {
		t.Fatal(err)
	}
	desc, err := remote.Get(ref)
	if err != nil {
		t.Fatal(err)
	}
	return ref.Context().Name() + "@" + desc.Digest.String()
}

func index(images map[string]v1.Image) v1.ImageIndex {
	out := v1.ImageIndex(empty.Index)
	for arch, image := range images {
		os, arch, _ := strings.Cut(arch, "/")
		out = mutate.AppendManifests(out, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: os, Architecture: arch}}})
	}
	return out
}

func podOn(arch string) *endpoint.Pod {
	p := new(endpoint.Pod)
	if arch != "" {
		p.Spec.NodeSelector = map[string]string{"kubernetes.io/arch": arch}
	}
	return p
}

// patient waits for as long as a loaded machine takes.
func patient(keychain Keychain) *Registries { return New(keychain, time.Minute) }

func TestAnImageTellsItsCommand(t *testing.T) {
	h := newHub(t)
	h.push(t, "plain:1", image(t, []string{"python3", "-m", "vllm_server"}, []string{"--port", "1"}))
	same := map[string]v1.Image{"linux/amd64": image(t, []string{"vllm"}, nil), "linux/arm64": image(t, []string{"vllm"}, nil), "unknown/unknown": image(t, nil, nil)}
	h.push(t, "same:1", index(same))
	h.push(t, "differ:1", index(map[string]v1.Image{"linux/amd64": image(t, []string{"a"}, nil), "linux/arm64": image(t, []string{"b"}, nil)}))
	h.push(t, "empty:1", image(t, nil, nil))
	for name, c := range map[string]struct {
		image, arch string
		entrypoint  []string
		cmd         []string
		err         string
	}{
		"an image":              {"plain:1", "", []string{"python3", "-m", "vllm_server"}, []string{"--port", "1"}, ""},
		"platforms that agree":  {"same:1", "", []string{"vllm"}, nil, ""},
		"platforms that differ": {"differ:1", "", nil, nil, errPlatforms.Error()},
		"platforms that differ, one of them selected": {"differ:1", "arm64", []string{"b"}, nil, ""},
		"a platform that the image has not":           {"differ:1", "s390x", nil, nil, "no variant"},
		"an image that runs nothing by itself":        {"empty:1", "", nil, nil, "neither ENTRYPOINT nor CMD"},
		"an image that is not there":                  {"none:1", "", nil, nil, "get manifest"},
		"not an image's name":                         {"UPPER CASE", "", nil, nil, "parse image"},
	} {
		t.Run(name, func(t *testing.T) {
			image := c.image
			if !strings.Contains(image, " ") {
				image = h.host + "/" + image
			}
			got, err := patient(nil).Lookup(t.Context(), "ns", podOn(c.arch), image)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error is %v, want %q", err, c.err)
				}
				return
			}
			if err != nil || !slices.Equal(got.Entrypoint, c.entrypoint) || !slices.Equal(got.Cmd, c.cmd) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestATagIsAskedAgainAfterItsTimeAndADigestNever(t *testing.T) {
	h := newHub(t)
	digest := h.push(t, "a:1", image(t, []string{"one"}, nil))
	clock := clocktesting.NewFakePassiveClock(time.Unix(0, 0))
	r := patient(nil)
	r.known = cache.NewLRUExpireCacheWithClock(maxImages, clock)
	ask := func(image string) (string, int32) {
		before := h.requests.Load()
		c, err := r.Lookup(t.Context(), "ns", podOn(""), image)
		if err != nil {
			t.Fatal(err)
		}
		return c.Entrypoint[0], h.requests.Load() - before
	}
	ask(h.host + "/a:1")
	ask(digest)
	h.push(t, "a:1", image(t, []string{"two"}, nil))
	if got, requests := ask(h.host + "/a:1"); got != "one" || requests != 0 {
		t.Errorf("within its time the tag says %s with %d requests", got, requests)
	}
	clock.SetTime(clock.Now().Add(2 * tagStays))
	if got, requests := ask(h.host + "/a:1"); got != "two" || requests == 0 {
		t.Errorf("after its time the tag says %s with %d requests", got, requests)
	}
	if got, requests := ask(digest); got != "one" || requests != 0 {
		t.Errorf("the digest says %s with %d requests", got, requests)
	}
}

func TestFailuresAreRememberedToo(t *testing.T) {
	h := newHub(t)
	r := patient(nil)
	for range 3 {
		if _, err := r.Lookup(t.Context(), "ns", podOn(""), h.host+"/none:1"); err == nil {
			t.Fatal("no error")
		}
	}
	first := h.requests.Load()
	if _, err := r.Lookup(t.Context(), "ns", podOn(""), h.host+"/none:1"); err == nil || h.requests.Load() != first {
		t.Errorf("asked again: %v", err)
	}
}

func TestARegistryThatDoesNotAnswerCostsTheBudget(t *testing.T) {
	h := newHub(t)
	h.hold = make(chan struct{})
	defer close(h.hold)
	r := New(nil, 50*time.Millisecond)
	_, err := r.Lookup(t.Context(), "ns", podOn(""), h.host+"/a:1")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
}

func TestPullSecretsOpenARegistryToTheirNamespaceOnly(t *testing.T) {
	h := newHub(t)
	h.push(t, "team/a:1", image(t, []string{"vllm"}, nil))
	h.password = "secret"
	secret := []byte(`{"auths":{"other.example":{"username":"x","password":"y"},"http://` + h.host + `/team":{"auth":"dXNlcjpzZWNyZXQ="}}}`)
	r := patient(func(_ context.Context, namespace string, _ *endpoint.Pod) (authn.Keychain, error) {
		if namespace == "team" {
			return Secrets{[]byte(`{}`), secret}, nil
		}
		return Secrets{}, nil
	})
	if c, err := r.Lookup(t.Context(), "team", podOn(""), h.host+"/team/a:1"); err != nil || c.Entrypoint[0] != "vllm" {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := r.Lookup(t.Context(), "other", podOn(""), h.host+"/team/a:1"); err == nil {
		t.Error("another namespace got the answer")
	} else if strings.Contains(err.Error(), "secret") {
		t.Errorf("the error tells the secret: %v", err)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	h := newHub(t)
	h.push(t, "a:1", image(t, []string{"x"}, nil))
	r := patient(nil)
	r.known = cache.NewLRUExpireCache(3)
	for _, ns := range []string{"a", "b", "c", "d", "e", "f"} {
		if _, err := r.Lookup(t.Context(), ns, podOn(""), h.host+"/a:1"); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(r.known.Keys()); n != 3 {
		t.Errorf("%d images are remembered", n)
	}
}

func TestWhichRegistryASecretIsFor(t *testing.T) {
	for name, c := range map[string]struct {
		pattern, repository string
		want                bool
	}{
		"the registry":                         {"reg.example", "reg.example/a/b", true},
		"with a scheme and slash":              {"https://reg.example/", "reg.example/a", true},
		"another":                              {"reg.example", "other.example/a", false},
		"a part of the name":                   {"example", "reg.example/a", false},
		"a wildcard":                           {"*.dkr.ecr.us-west-2.amazonaws.com", "1.dkr.ecr.us-west-2.amazonaws.com/a", true},
		"a wildcard is one part":               {"*.amazonaws.com", "1.dkr.ecr.amazonaws.com/a", false},
		"a path":                               {"reg.example/team", "reg.example/team/a", true},
		"a path by halves":                     {"reg.example/tea", "reg.example/team/a", false},
		"Docker Hub, as written by its client": {"https://index.docker.io/v1/", "index.docker.io/library/a", true},
		"Docker Hub by its name":               {"docker.io", "index.docker.io/library/a", true},
		"a port":                               {"reg.example:5000", "reg.example:5000/a", true},
		"another port":                         {"reg.example:5000", "reg.example/a", false},
	} {
		if got := covers(trim(c.pattern), c.repository); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
