// SPDX-License-Identifier: Apache-2.0

// Package inject decides what a pod gets and writes it as patch operations on the pod as it came: only additions, built
// by hand, so that nothing coldtrace does not know about a pod is ever touched. It is pure: no client, no clock, no log.
package inject

import (
	"cmp"
	"encoding/json"
	"hash/fnv"
	"regexp"
	"slices"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/endpoint"
)

// Operation is a patch operation (RFC 6902). A library's own type marshals each value twice.
type Operation struct {
	Operation string `json:"op"`
	Path      string `json:"path"`
	Value     any    `json:"value"`
}

// Request is a pod to decide about.
type Request struct {
	Pod                  *endpoint.Pod
	Namespace            string // of the admission request: the pod may not carry it yet
	NamespaceAnnotations map[string]string
	Policy               *config.Policy
	ImageVolumes         bool   // the API server and every GPU node can mount an image as a volume
	Version              string // coldtrace's own
	// NoWrapper, if not empty, is why the wrapper must not be used for this pod, whatever the policy says.
	NoWrapper Reason
	// LogsForbidden says that the watcher may not read logs in the namespace; it matters to explanations.
	LogsForbidden bool
	// NoImageVolume, if not empty, is why auto must not mount an image in this pod, whatever the nodes can.
	NoImageVolume Reason
	// Entrypoint and Cmd are the image's as a registry told; annotations and known images come first.
	Entrypoint, Cmd []string
}

// Selection is what the policy says about a pod, injected or not.
type Selection struct {
	Selected bool
	Identity endpoint.Identity
	Settings config.Settings
	Notes    []Note
	Warnings []string
}

// maxAnnotationNotes bounds what a pod full of annotations makes of the status annotation.
const maxAnnotationNotes = 4

// Selected tells whether a pod is an endpoint whose start is traced, and what it is. What left says does not matter here:
// the watcher's spans cost a pod nothing.
func Selected(req Request) Selection {
	s := Selection{}
	var warnings []config.Warning
	s.Settings, warnings = req.Policy.Settings(req.NamespaceAnnotations, req.Pod.Metadata.Annotations)
	of := images(req)
	s.Identity = endpoint.Identify(req.Pod, endpoint.Options{
		Namespace:    req.Namespace,
		GPUResources: req.Policy.Selection.GPUResources,
		Region:       s.Settings.Region,
		Declared:     s.Settings.Declared,
		Known:        of,
		AnyClaim:     s.Settings.Inject == "true" || s.Settings.Container != "",
	})
	known := s.image(of, &req.Pod.Spec)
	reason, selected := choose(req, &s)
	s.Selected = selected
	s.Notes = append(s.Notes, Note{Reason: reason})
	if s.Identity.Claimed && selected {
		s.Notes = append(s.Notes, Note{Reason: ReasonClaim})
	}
	if known && selected {
		s.Notes = append(s.Notes, Note{Reason: ReasonKnownImage})
	}
	for i, w := range warnings {
		s.Warnings = append(s.Warnings, w.Text)
		if i < maxAnnotationNotes {
			s.Notes = append(s.Notes, Note{ReasonAnnotation, w.Annotation})
		}
	}
	return s
}

// choose applies the rules in their order; the first that speaks decides.
func choose(req Request, s *Selection) (Reason, bool) {
	var (
		id       = &s.Identity
		sel      = &req.Policy.Selection
		value    = req.Pod.Metadata.Labels[sel.LabelKey]
		labelled = sel.LabelKey != "" && value != "" && (len(sel.LabelValues) == 0 || slices.Contains(sel.LabelValues, value))
	)
	switch {
	case s.Settings.Inject == "false":
		return ReasonOptedOut, false
	case endpoint.Windows(&req.Pod.Spec):
		return ReasonWindows, false
	case id.Index < 0 && s.Settings.Container != "":
		return ReasonContainer, false
	case id.Index < 0 && id.WithGPU > 1:
		return ReasonAmbiguous, false
	case id.Index < 0 && id.Unread:
		return ReasonUnknownClaim, false
	case id.Index < 0:
		return ReasonNoGPU, false
	case !id.GPU && s.Settings.Container != "":
		return ReasonContainer, false
	case s.Settings.Inject == "true":
		return ReasonForced, true
	case sel.RequireLabel && !labelled:
		return ReasonNoLabel, false
	case sel.RequireEngine && id.Engine == "":
		return endpoint.NoEngine, false
	case labelled:
		return ReasonLabel, true
	case id.Engine != "":
		return ReasonEngine, true
	}
	return ReasonNotAnEndpoint, false
}

// Pod decides what a pod gets. No operations: it stays as it came.
func Pod(req Request) ([]Operation, Decision) {
	s := Selected(req)
	d := Decision{Version: req.Version, Outcome: Skipped, Container: s.Identity.Container, Notes: s.Notes, Warnings: s.Warnings}
	if r := left(req); r != "" && s.Selected {
		s.Selected = false
		d.Notes = []Note{{Reason: r}}
	}
	p := patch{req: req, sel: &s, decision: &d}
	if s.Selected {
		p.plan()
	}
	status, had := req.Pod.Metadata.Annotations[config.StatusAnnotation]
	if had && len(p.ops) == 0 && len(p.annotations) == 0 {
		d.Outcome = Already
		return nil, d
	}
	if s.Settings.Inject == "false" {
		return nil, d // not even the annotation
	}
	if encoded := d.JSON(); encoded != status {
		p.annotate(config.StatusAnnotation, encoded)
	}
	p.writeAnnotations()
	return p.ops, d
}

// JSON is the decision as the status annotation holds it.
func (d *Decision) JSON() string {
	b, err := json.Marshal(d)
	if err != nil {
		return "{}" // impossible: strings only
	}
	return string(b)
}

// left is why an endpoint is left as it is; empty: it is not.
func left(req Request) Reason {
	switch {
	case endpoint.Static(&req.Pod.Metadata):
		return ReasonStatic
	case !inCanary(req):
		return ReasonCanary
	}
	return ""
}

// inCanary takes a share of all workloads, always the same ones: the pods of one are all in or all out, over all rollouts.
func inCanary(req Request) bool {
	percent := req.Policy.CanaryPercent
	if percent >= 100 {
		return true
	}
	h := fnv.New32a()
	h.Write([]byte(req.Namespace + "/" + drawn(&req.Pod.Metadata)))
	return int(h.Sum32()%100) < percent
}

// run ends the name of a Job that a CronJob made: the minute it was due, since 1970.
var run = regexp.MustCompile(`-\d{8}$`)

// drawn is the name that a pod is drawn by: its workload's, which is known before there is a pod; of a bare one what it begins with.
func drawn(m *endpoint.Metadata) string {
	o := m.Controller()
	if o == nil {
		return cmp.Or(m.GenerateName, m.Name)
	}
	kind, name := endpoint.Workload(m.Labels, o.Kind, o.Name)
	if kind == "Job" {
		name = run.ReplaceAllString(name, "")
	}
	return name
}
