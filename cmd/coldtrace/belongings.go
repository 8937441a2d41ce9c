// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/coldtrace/coldtrace/watch"
	"github.com/coldtrace/coldtrace/webhook/breaker"
)

// leaderLease is the Lease that the replicas elect their leader with.
const leaderLease = "coldtrace-leader"

// adoptEvery bounds how long an object can be without its owner after someone has replaced either of them.
const adoptEvery = time.Minute

// belongings are the objects that are made at run time: the leaders' Leases, the watcher's checkpoint and the breaker's
// state. Their owner is a ConfigMap of the release, so that they go when the release goes: the garbage collector needs no
// right and no image of ours, as a hook would, and works however the release is removed.
type belongings struct {
	client    kubernetes.Interface
	namespace string
	owner     string // name of the ConfigMap; empty: nothing is owned
	log       logr.Logger

	owners atomic.Pointer[[]metav1.OwnerReference]
	told   string // the last error that was logged
}

// Owners are the owner references for a new object; none before Start has read them.
func (b *belongings) Owners() []metav1.OwnerReference {
	if o := b.owners.Load(); o != nil {
		return *o
	}
	return nil
}

// Start is a job of the leader, who makes these objects. It gives the owner what is there already, again and again until
// the context ends. Nothing depends on its success.
func (b *belongings) Start(ctx context.Context) error {
	if b.owner == "" {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(adoptEvery)
	defer tick.Stop()
	for {
		if err := b.adopt(ctx); err != nil && ctx.Err() == nil && err.Error() != b.told {
			b.told = err.Error()
			b.log.Error(err, "What coldtrace makes at run time does not belong to the release, and stays when it is uninstalled")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (b *belongings) adopt(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	maps, leases := b.client.CoreV1().ConfigMaps(b.namespace), b.client.CoordinationV1().Leases(b.namespace)
	owner, err := maps.Get(ctx, b.owner, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("get owner: %w", err)
	}
	owners := []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID}}
	b.owners.Store(&owners)
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"ownerReferences": owners}})
	if err != nil {
		return fmt.Errorf("encode owner: %w", err)
	}
	give := func(o metav1.Object, err error, do func() error) error {
		switch {
		case apierrors.IsNotFound(err):
			return nil // not made yet
		case err != nil:
			return fmt.Errorf("get what is owned: %w", err)
		case reflect.DeepEqual(o.GetOwnerReferences(), owners):
			return nil
		}
		if err := do(); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("give %s its owner: %w", o.GetName(), err)
		}
		return nil
	}
	var errs []error
	for _, name := range []string{leaderLease, watchLease} {
		lease, err := leases.Get(ctx, name, metav1.GetOptions{})
		errs = append(errs, give(lease, err, func() error {
			_, err := leases.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
			return err
		}))
	}
	for _, name := range []string{watch.Checkpoint, breaker.Name} {
		object, err := maps.Get(ctx, name, metav1.GetOptions{})
		errs = append(errs, give(object, err, func() error {
			_, err := maps.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
			return err
		}))
	}
	return errors.Join(errs...)
}
