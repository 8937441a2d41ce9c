// SPDX-License-Identifier: Apache-2.0

package breaker

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
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

// Read is the state that the ConfigMap holds; with an error, none.
func Read(c *corev1.ConfigMap) (State, error) {
	var s State
	if err := json.Unmarshal([]byte(c.Data[stateKey]), &s); err != nil {
		return State{}, fmt.Errorf("decode breaker: %w", err)
	}
	return s, nil
}

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

// NoWrapper is the reason for which a pod goes without: because of its workload (see NameOf), or of its controller, of whom
// alone an event speaks; empty: none.
func (g *Gate) NoWrapper(workload, namespace, kind, name string) inject.Reason {
	if s := g.state.Load(); s != nil && (s.IsOpen(workload) || s.IsOpen(NameOf(namespace, nil, kind, name))) {
		return inject.ReasonBreaker
	}
	return ""
}

// NoImageVolume is the reason for which a pod of the namespace can't have an image volume; empty: none.
func (g *Gate) NoImageVolume(namespace string) inject.Reason {
	if s := g.state.Load(); s != nil && s.IsRefused(namespace) {
		return inject.ReasonRefused
	}
	return ""
}

func (g *Gate) set(o any) {
	c, ok := o.(*corev1.ConfigMap)
	if !ok || c.Name != Name {
		return
	}
	s, err := Read(c)
	if err != nil {
		g.log.Error(err, "The breaker's ConfigMap can't be read; it counts as closed")
	}
	g.use(&s)
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
	events    record.EventRecorder
	namespace string
	owners    func() []metav1.OwnerReference
	log       logr.Logger
	now       func() time.Time
	reports   chan report
	counted   map[string]bool // what was reported, so that closing by hand is not undone by a pod that still fails
}

type report struct {
	Report
	owner   metav1.OwnerReference
	ns      string
	refused bool   // a pod of the owner, for its volume
	id      string // the same report twice counts once
}

// NewKeeper makes a keeper; the leader runs it. What it writes belongs to owners, if there are any at the time.
func NewKeeper(
	client kubernetes.Interface, namespace string, owners func() []metav1.OwnerReference, events record.EventRecorder, log logr.Logger,
) *Keeper {
	return &Keeper{
		client: client, namespace: namespace, owners: owners, events: events, log: log, now: time.Now,
		reports: make(chan report, 256), counted: map[string]bool{},
	}
}

// Observe judges a pod. It never blocks; a report that finds no room is made again when the pod changes again.
func (k *Keeper) Observe(pod *corev1.Pod) {
	verdict := judge(pod)
	owner := metav1.GetControllerOf(pod)
	if verdict == Fine || owner == nil {
		return
	}
	k.report(report{
		Report: Report{
			Owner: NameOf(pod.Namespace, pod.Labels, owner.Kind, owner.Name), PodUID: string(pod.UID), Verdict: verdict,
		},
		owner: *owner, ns: pod.Namespace, id: string(pod.UID) + string(verdict),
	})
}

// ObserveEvent judges an event of a controller whose pod was not created. It never blocks.
func (k *Keeper) ObserveEvent(e *corev1.Event) {
	volume := Refusal(e)
	if !volume && !refusesWrapper(e) {
		return
	}
	o, id := &e.InvolvedObject, e.Namespace+"/"+e.Name+"#"+strconv.Itoa(int(e.Count))
	k.report(report{
		Report: Report{Owner: NameOf(e.Namespace, nil, o.Kind, o.Name), PodUID: id, Verdict: Refused},
		owner:  metav1.OwnerReference{APIVersion: o.APIVersion, Kind: o.Kind, Name: o.Name, UID: o.UID}, ns: e.Namespace,
		refused: volume, id: id,
	})
}

func (k *Keeper) report(r report) {
	select {
	case k.reports <- r:
	default:
	}
}

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
			if k.counted[got.id] {
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
	if !missing {
		state, err = Read(object)
		if err != nil {
			k.log.Error(err, "The breaker's state was damaged; it begins again")
		}
	}
	changed := state.expire(k.now())
	opened, all := false, false
	switch {
	case r == nil:
	case r.refused && state.Refuse(r.ns, k.now()):
		opened = true
	case r.refused && k.now().Sub(state.Refused[r.ns]) < time.Minute: // tried again before every replica knew
	default: // without an image volume, too
		r.refused = false
		var observed bool
		observed, opened, all = state.Observe(r.Report, k.now())
		changed = changed || observed
	}
	if changed || opened {
		if err := k.write(ctx, object, missing, state); err != nil {
			return err
		}
	}
	if r != nil {
		if len(k.counted) > 10*maxOwners {
			clear(k.counted)
		}
		k.counted[r.id] = true
	}
	if opened {
		k.tell(r, all)
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

// tell writes the log and an Event on the owner, with what there is to do.
func (k *Keeper) tell(r *report, all bool) {
	reason, message := "ColdtraceBreakerOpen", fmt.Sprintf(
		"Pods with coldtrace's wrapper failed to start (%s): %s. New pods of this workload go without it for %s, or until ConfigMap %s/%s is deleted. "+
			"Pods that wait are not made anew by themselves: `kubectl rollout restart` or delete them.",
		r.Verdict, advice[r.Verdict], reset, k.namespace, Name)
	switch {
	case r.Verdict == Refused && !r.refused:
		message = fmt.Sprintf("A pod was refused, it may be for coldtrace's wrapper: %s. The next pods are tried without it for %s, or until ConfigMap "+
			"%s/%s is deleted.", advice[r.Verdict], reset, k.namespace, Name)
		k.log.Info("A pod was refused: the next of its owner go without the wrapper", "workload", r.Owner)
	case r.refused:
		reason = "ColdtraceImageVolumeRefused"
		message = fmt.Sprintf("A pod was refused for a volume. With delivery auto, new pods of this namespace get coldtrace's wrapper "+
			"by init container until ConfigMap %s/%s is deleted.", k.namespace, Name)
		k.log.Info("A pod was refused for a volume: no image volumes in its namespace", "namespace", r.ns, "owner", r.owner.Name)
	default:
		k.log.Info("The breaker opened: pods go without the wrapper", "workload", r.Owner, "verdict", r.Verdict, "all", all)
	}
	k.events.Event(&corev1.ObjectReference{
		APIVersion: r.owner.APIVersion, Kind: r.owner.Kind, Name: r.owner.Name, UID: r.owner.UID, Namespace: r.ns,
	}, corev1.EventTypeWarning, reason, message)
}

// advice is what to look into.
var advice = map[Verdict]string{
	NoImage:  "see that the nodes can pull the image that policy field wrapper.image names",
	NoStart:  "see what `kubectl describe pod` says of the container; annotation coldtrace.io/delivery: \"off\" leaves the command alone",
	Refused:  "let the policy that refused it accept the init container " + inject.InstallName + " and its image, or annotate the namespace with coldtrace.io/delivery: \"off\"",
	Crashing: "see `kubectl logs --previous`; where pods without the wrapper crash too, it comes back",
}
