// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// Terms of the watch. The manager's own lease, which the certificates need, is another one: to lose that ends the process
// and with it a webhook, so it has to outlast a restart of the API server. To lose this one ends a term and no more, so it
// can be as short as a quick take-over asks for:
//
//   - After a kill the standby has seen the last renewal up to one retry late, waits out the lease, and looks again up to
//     one retry later; client-go stretches a retry to 2.2 of them. That is 2.2 + 13 + 2.2 s at worst, and leaves 2.6 s of
//     20 for the first list.
//   - After a clean stop the lease is empty, and the standby takes it at its next look: within 2.2 s.
//   - A leader that can't renew stops 3 s before anybody else may begin. Should clocks that run at different speeds eat
//     that up, two leaders send the same spans with the same ids, and one's checkpoint gives way to the other's.
//
// It costs one small write per second.
const (
	watchLease         = "coldtrace-watcher"
	watchLeaseDuration = 13 * time.Second
	watchRenewDeadline = 10 * time.Second
	watchRetryPeriod   = time.Second
)

// leader runs jobs on one replica at a time, in terms.
type leader struct {
	client    kubernetes.Interface
	namespace string
	alone     bool // there are no other replicas
	// until ends the last term. It comes before the end of the process, which goes on to answer the API server for a
	// while: the next leader need not wait for that.
	until context.Context
	jobs  []func(context.Context) error
	log   logr.Logger
}

// NeedLeaderElection is false: this is the election.
func (l *leader) NeedLeaderElection() bool { return false }

// Start stands for election until the context ends or the last term is over.
func (l *leader) Start(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.until, cancel)()
	if l.alone {
		return l.work(ctx)
	}
	for ctx.Err() == nil {
		if err := l.term(ctx); err != nil {
			return err
		}
	}
	return nil
}

// term is one candidacy: the wait for the lease, the jobs, and the lease's release once the jobs have written what the next
// leader has to know.
func (l *leader) term(ctx context.Context) error {
	candidacy, resign := context.WithCancel(context.WithoutCancel(ctx))
	defer resign()
	var (
		leading atomic.Bool
		worked  = make(chan error, 1)
	)
	defer context.AfterFunc(ctx, func() {
		if !leading.Load() {
			resign()
		}
	})()
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("find the host's name: %w", err)
	}
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Name: watchLease,
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Name: watchLease, Namespace: l.namespace},
			Client:     l.client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: host + "_" + uuid.NewString()},
		},
		LeaseDuration: watchLeaseDuration, RenewDeadline: watchRenewDeadline, RetryPeriod: watchRetryPeriod,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(held context.Context) {
				leading.Store(true)
				defer resign()
				held, cancel := context.WithCancel(held)
				defer cancel()
				defer context.AfterFunc(ctx, cancel)()
				worked <- l.work(held)
			},
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return fmt.Errorf("set up the election: %w", err)
	}
	elector.Run(candidacy)
	if !leading.Load() {
		return nil
	}
	// Nothing that ends a term is a reason to end the process: it may be the only webhook that answers.
	if err := <-worked; err != nil {
		l.log.Error(err, "The watch did not end in good order; the next leader may repeat a few spans")
	} else if ctx.Err() == nil {
		l.log.Info("The watch went to another replica")
	}
	return nil
}

// work runs the jobs until the context ends or one of them fails.
func (l *leader) work(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	errs := make([]error, len(l.jobs))
	for i, job := range l.jobs {
		all.Go(func() {
			defer cancel()
			errs[i] = job(ctx)
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
