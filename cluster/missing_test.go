// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/coldtrace/coldtrace/startup"
)

func TestEventsOfAPodThatIsOlderThanAnHourAreGone(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for age, want := range map[time.Duration]string{59 * time.Minute: "there are no events of p", 61 * time.Minute: "events are gone"} {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", CreationTimestamp: metav1.NewTime(now.Add(-age))}}
		if got := ofEvents(p, now).String(); !strings.HasPrefix(got, want) {
			t.Errorf("after %v: %q", age, got)
		}
	}
}

func TestWhatCannotBeReadSaysWhy(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	for want, err := range map[string]error{
		"no right to read it: " + ownRights:                          apierrors.NewForbidden(pods, "p", errors.New("no")),
		"the API server does not know who asks for it: log in again": apierrors.NewUnauthorized("who"),
		"the node does not answer for it: try again when it does":    apierrors.NewInternalError(errors.New("dial tcp")),
		"it can't be read (pods \"p\" not found)":                    apierrors.NewNotFound(pods, "p"),
		"it can't be read (net/http: TLS handshake timeout)":         errors.New("net/http: TLS handshake timeout"),
	} {
		if got := unread("it", err).String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestWhatManyPodsLackIsSaidOnce(t *testing.T) {
	var starts []Start
	for _, name := range []string{"a", "b", "c", "d"} {
		s := Start{Subject: startup.Subject{PodName: name}}
		s.lacks(Missing{"events are gone", "the watcher"})
		starts = append(starts, s)
	}
	starts[3].lacks(Missing{"its log is gone", ""})
	got := strings.Join(Lacking(starts), "\n")
	if want := "events are gone: the watcher (a, b and 2 more)\nits log is gone (d)"; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
