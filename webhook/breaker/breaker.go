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

	"github.com/coldtrace/coldtrace/startup"
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
	g.state.Store(&State{})
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

// State is what the ConfigMap says now.
func (g *Gate) State() *State { return g.state.Load() }

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
		workload: nameOf(pod.Namespace, pod.Labels, owner.Kind, owner.Name), pod: string(pod.UID), verdict: verdict,
		owner: corev1.ObjectReference{APIVersion: owner.APIVersion, Kind: owner.Kind, Name: owner.Name, UID: owner.UID, Namespace: pod.Namespace},
	})
}

// ObserveEvent judges an event of a controller whose pod was not created. It never blocks.
func (k *Keeper) ObserveEvent(e *corev1.Event) {
	volume := refusesVolume(e)
	if !volume && !refusesWrapper(e) {
		return
	}
	o := e.InvolvedObject
	k.report(report{
		workload: nameOf(e.Namespace, nil, o.Kind, o.Name), pod: e.Namespace + "/" + e.Name + "#" + strconv.Itoa(int(e.Count)), verdict: Refused,
		owner:  corev1.ObjectReference{APIVersion: o.APIVersion, Kind: o.Kind, Name: o.Name, UID: o.UID, Namespace: e.Namespace},
		volume: volume,
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
			if k.counted[got.id()] {
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
	object, err := k.client.CoreV1().ConfigMaps(k.namespace).Get(ctx, Name, metav1.GetOptions{})
	state := State{}
	switch {
	case apierrors.IsNotFound(err):
		object = nil
	case err != nil:
		return fmt.Errorf("get breaker: %w", err)
	default:
		if state, err = Read(object); err != nil {
			k.log.Error(err, "The breaker's state was damaged; it begins again")
		}
	}
	changed := state.expire(k.now())
	opened, all := false, false
	if r != nil {
		var news bool
		news, opened, all = k.take(&state, r)
		changed = changed || news
	}
	if changed {
		if err := k.write(ctx, object, state); err != nil {
			return err
		}
	}
	if r != nil {
		if len(k.counted) > 10*maxOwners {
			clear(k.counted)
		}
		k.counted[r.id()] = true
	}
	if opened {
		k.tell(r, all)
	}
	return nil
}

// take takes a report in and tells whether the state changed, whether it opened, and whether for all.
func (k *Keeper) take(state *State, r *report) (changed, opened, all bool) {
	now := k.now()
	if r.volume && state.refuse(r.owner.Namespace, now) {
		return true, true, false
	}
	if r.volume && now.Sub(state.Refused[r.owner.Namespace]) < time.Minute { // tried again before every replica knew
		return false, false, false
	}
	r.volume = false // without an image volume, too
	return state.observe(r, now)
}

// write writes the state over an object; nil: there is none yet.
func (k *Keeper) write(ctx context.Context, object *corev1.ConfigMap, state State) error {
	text, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("encode breaker: %w", err)
	}
	maps := k.client.CoreV1().ConfigMaps(k.namespace)
	data := map[string]string{stateKey: string(text)}
	if object == nil {
		meta := metav1.ObjectMeta{Name: Name, Namespace: k.namespace, OwnerReferences: k.owners()}
		_, err = maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: meta, Data: data}, metav1.CreateOptions{})
	} else {
		object.Data = data
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
		r.verdict, advice[r.verdict], reset, k.namespace, Name)
	switch {
	case r.verdict == Refused && !r.volume:
		message = fmt.Sprintf("A pod was refused, it may be for coldtrace's wrapper: %s. The next pods are tried without it for %s, or until ConfigMap "+
			"%s/%s is deleted.", advice[r.verdict], reset, k.namespace, Name)
		k.log.Info("A pod was refused: the next of its owner go without the wrapper", "workload", r.workload)
	case r.volume:
		reason = "ColdtraceImageVolumeRefused"
		message = fmt.Sprintf("A pod was refused for a volume. With delivery auto, new pods of this namespace get coldtrace's wrapper "+
			"by init container until ConfigMap %s/%s is deleted.", k.namespace, Name)
		k.log.Info("A pod was refused for a volume: no image volumes in its namespace", "namespace", r.owner.Namespace, "owner", r.owner.Name)
	default:
		k.log.Info("The breaker opened: pods go without the wrapper", "workload", r.workload, "verdict", r.verdict, "all", all)
	}
	k.events.Event(&r.owner, corev1.EventTypeWarning, reason, message)
}

// advice is what to look into.
var advice = map[Verdict]string{
	NoImage:  "see that the nodes can pull the image that policy field wrapper.image names",
	NoStart:  "see what `kubectl describe pod` says of the container; annotation coldtrace.io/delivery: \"off\" leaves the command alone",
	Refused:  "let the policy that refused it accept the init container " + startup.InstallName + " and its image, or annotate the namespace with coldtrace.io/delivery: \"off\"",
	Crashing: "see `kubectl logs --previous`; where pods without the wrapper crash too, it comes back",
}
