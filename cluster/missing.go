// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/coldtrace/coldtrace/trace/text"
)

// Missing is a fact that a picture lacks, and what would give it.
type Missing struct {
	What, Gives string
}

func (m Missing) String() string {
	if m.Gives == "" {
		return m.What
	}
	return m.What + ": " + m.Gives
}

const ownRights = "coldtrace rights prints the Role that a person needs"

// eventTTL is how long an API server keeps events unless it is told otherwise (--event-ttl).
const eventTTL = time.Hour

// unread says what could not be read, and why.
func unread(what string, err error) Missing {
	var status apierrors.APIStatus
	switch {
	case apierrors.IsForbidden(err):
		return Missing{"no right to read " + what, ownRights}
	case apierrors.IsUnauthorized(err):
		return Missing{"the API server does not know who asks for " + what, "log in again"}
	case errors.As(err, &status) && status.Status().Code >= http.StatusInternalServerError:
		return Missing{"the node does not answer for " + what, "try again when it does"}
	}
	return Missing{fmt.Sprintf("%s can't be read (%v)", what, err), ""}
}

// ofEvents says why there are no events of a pod.
func ofEvents(p *corev1.Pod, now time.Time) Missing {
	if now.Sub(p.CreationTimestamp.Time) > eventTTL {
		return Missing{"events are gone (a cluster keeps them for an hour): some times are of whole seconds, image pulls are not told", "coldtrace's watcher tells them as they come"}
	}
	return Missing{"there are no events of " + p.Name, ""}
}

func (s *Start) lacks(m Missing) { s.Missing = append(s.Missing, m) }

// Lacking are what some starts lack, each thing once, with the pods it is missing of.
func Lacking(starts []Start) []string {
	var order []Missing
	pods := map[Missing][]string{}
	for i := range starts {
		for _, m := range starts[i].Missing {
			if pods[m] == nil {
				order = append(order, m)
			}
			pods[m] = append(pods[m], starts[i].Subject.PodName)
		}
	}
	out := make([]string, len(order))
	for i, m := range order {
		out[i] = m.String()
		if len(starts) > 1 {
			out[i] += " (" + text.Some(pods[m], 2) + ")"
		}
	}
	return out
}
