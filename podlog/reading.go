// SPDX-License-Identifier: Apache-2.0

package podlog

import (
	"context"

	"k8s.io/client-go/kubernetes"

	"github.com/coldtrace/coldtrace/startup/container"
)

// Reading is how far the log of a run was read. Its zero value is not begun.
type Reading struct {
	Log   *container.Log // nil: not begun
	place Place
}

// Begin begins with a run's log, and goes on with it if all that was read is the run's.
func (r *Reading) Begin(run container.Run) {
	if r.Log == nil || !r.Log.Fits(run) {
		*r = Reading{Log: container.NewLog(run)}
	}
	r.Log.Over(run)
}

// On reads on, as Target.Read does, from where it was read before.
func (r *Reading) On(ctx context.Context, client kubernetes.Interface, t *Target, of Request) (Answer, error) {
	of.After = r.place
	answer, err := t.Read(ctx, client, of, r.Log.Line)
	r.place = answer.Place
	return answer, err
}
