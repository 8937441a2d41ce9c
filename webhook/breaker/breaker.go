// SPDX-License-Identifier: Apache-2.0

package breaker

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/coldtrace/coldtrace/inject"
)

// Name is the ConfigMap's.
const Name = "coldtrace-breaker"

const stateKey = "state.json"

var openOwners = prometheus.NewGauge(prometheus.GaugeOpts{
	Name: "coldtrace_breaker_open_owners",
	Help: "Owners whose pods go without the wrapper because pods with it failed to start; -1: all.",
})

func init() { ctrlmetrics.Registry.MustRegister(openOwners) }

// Gate is every replica's half: what the ConfigMap says.
type Gate struct {
	state atomic.Pointer[State]
	log   logr.Logger
}

// NewGate watches the ConfigMap through the cache, which must hold it.
func NewGate(ctx context.Context, c cache.Cache, log logr.Logger) (*Gate, error) {
	g := &Gate{log: log}
	informer, err := c.GetInformer(ctx, &corev1.ConfigMap{}, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("watch breaker: %w", err)
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    g.set,
		UpdateFunc: func(_, o any) { g.set(o) },
		DeleteFunc: func(any) { g.use(&State{}) },
	})
	if err != nil {
		return nil, fmt.Errorf("watch breaker: %w", err)
	}
	return g, nil
}

// NoWrapper is the reason for which a pod of the owner goes without; empty: none.
func (g *Gate) NoWrapper(ownerUID string) inject.Reason {
	if s := g.state.Load(); s != nil && s.IsOpen(ownerUID) {
		return inject.ReasonBreaker
	}
	return ""
}

func (g *Gate) set(o any) {
	c, ok := o.(*corev1.ConfigMap)
	if !ok || c.Name != Name {
		return
	}
	s := &State{}
	if err := json.Unmarshal([]byte(c.Data[stateKey]), s); err != nil {
		g.log.Error(err, "The breaker's ConfigMap can't be read; it counts as closed")
	}
	g.use(s)
}

func (g *Gate) use(s *State) {
	g.state.Store(s)
	if s.All.IsZero() {
		openOwners.Set(float64(s.open()))
		return
	}
	openOwners.Set(-1)
}

// Keeper is the leader's half.
type Keeper struct {
	client    kubernetes.Interface
	namespace string
	owners    func() []metav1.OwnerReference
	limits    Limits
	log       logr.Logger
	now       func() time.Time
	reports   chan report
	counted   map[string]bool // pods that were reported, so that closing by hand is not undone by one that still fails
}

type report struct {
	Report
	owner metav1.OwnerReference
	ns    string
}

// NewKeeper makes a keeper; it must be added to the manager. What it writes belongs to owners, if there are any at the time.
func NewKeeper(
	client kubernetes.Interface, namespace string, owners func() []metav1.OwnerReference, limits Limits, log logr.Logger,
) *Keeper {
	return &Keeper{
		client: client, namespace: namespace, owners: owners, limits: limits, log: log, now: time.Now,
		reports: make(chan report, 256), counted: map[string]bool{},
	}
}

// Observe judges a pod. It never blocks; a report that finds no room is made again when the pod changes again.
func (k *Keeper) Observe(pod *corev1.Pod) {
	verdict := Judge(pod)
	owner := metav1.GetControllerOf(pod)
	if verdict == Fine || owner == nil {
		return
	}
	select {
	case k.reports <- report{
		Report: Report{
			OwnerUID: string(owner.UID), OwnerName: pod.Namespace + "/" + owner.Name, PodUID: string(pod.UID), Verdict: verdict,
		},
		owner: *owner, ns: pod.Namespace,
	}:
	default:
	}
}

// NeedLeaderElection is true: one writer.
func (k *Keeper) NeedLeaderElection() bool { return true }

// Start takes reports in until the context ends.
func (k *Keeper) Start(ctx context.Context) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		var r *report
		select {
		case <-ctx.Done():
			return nil
		case got := <-k.reports:
			if id := got.PodUID + string(got.Verdict); k.counted[id] {
				continue
			}
			r = &got
		case <-tick.C:
		}
		if err := k.update(ctx, r); err != nil {
			k.log.Error(err, "The breaker's state was not written")
		}
	}
}

// update reads the state, takes one report in, and writes it.
func (k *Keeper) update(ctx context.Context, r *report) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	maps := k.client.CoreV1().ConfigMaps(k.namespace)
	object, err := maps.Get(ctx, Name, metav1.GetOptions{})
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return fmt.Errorf("get breaker: %w", err)
	}
	state := State{}
	if !missing && json.Unmarshal([]byte(object.Data[stateKey]), &state) != nil {
		state = State{} // damaged: begin again
	}
	changed := state.Expire(k.now(), k.limits)
	opened, all := false, false
	if r != nil {
		var observed bool
		observed, opened, all = state.Observe(r.Report, k.now(), k.limits)
		changed = changed || observed
	}
	if changed {
		if err := k.write(ctx, object, missing, state); err != nil {
			return err
		}
	}
	if r != nil {
		if len(k.counted) > 10*maxOwners {
			clear(k.counted)
		}
		k.counted[r.PodUID+string(r.Verdict)] = true
	}
	if opened {
		k.tell(ctx, r, all)
	}
	return nil
}

func (k *Keeper) write(ctx context.Context, object *corev1.ConfigMap, missing bool, state State) error {
	text, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("encode breaker: %w", err)
	}
	maps := k.client.CoreV1().ConfigMaps(k.namespace)
	if missing {
		object = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: Name, Namespace: k.namespace, OwnerReferences: k.owners()}}
		object.Data = map[string]string{stateKey: string(text)}
		_, err = maps.Create(ctx, object, metav1.CreateOptions{})
	} else {
		object.Data = map[string]string{stateKey: string(text)}
		_, err = maps.Update(ctx, object, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("write breaker: %w", err)
	}
	return nil
}

// tell writes the log and an Event on the owner.
func (k *Keeper) tell(ctx context.Context, r *report, all bool) {
	k.log.Info("The breaker opened: pods go without the wrapper", "namespace", r.ns, "owner", r.owner.Name, "verdict", r.Verdict, "all", all)
	now := metav1.NewTime(k.now())
	_, err := k.client.CoreV1().Events(r.ns).Create(ctx, &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "coldtrace-", Namespace: r.ns},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: r.owner.APIVersion, Kind: r.owner.Kind, Name: r.owner.Name, UID: types.UID(r.OwnerUID), Namespace: r.ns,
		},
		Reason: "ColdtraceBreakerOpen", Type: corev1.EventTypeWarning,
		Message: fmt.Sprintf("Pods with coldtrace's wrapper failed to start (%s). New pods go without it for %s, or until ConfigMap %s/%s is deleted.",
			r.Verdict, k.limits.Reset, k.namespace, Name),
		Source:         corev1.EventSource{Component: "coldtrace"},
		FirstTimestamp: now, LastTimestamp: now, Count: 1, ReportingController: "coldtrace.io/breaker",
	}, metav1.CreateOptions{})
	if err != nil {
		k.log.V(1).Info("An Event was not written", "namespace", r.ns, "owner", r.owner.Name, "error", err.Error())
	}
}
