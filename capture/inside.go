// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/startup/pod"
)

// kindPhases is of a document that holds what the log of a pod's container told when the capture was taken: phases and figures,
// and no line of it.
const kindPhases = "Phases"

// Phases is such a document.
type Phases struct {
	metav1.TypeMeta `json:",inline"`
	PodUID          types.UID `json:"podUID"`
	Phases          []Phase   `json:"phases"`
}

// Phase is a span as a capture has it.
type Phase struct {
	Name       string           `json:"name"`
	Key        string           `json:"key"`
	Parent     string           `json:"parent,omitempty"`
	Start      metav1.MicroTime `json:"start"`
	End        metav1.MicroTime `json:"end"`
	Open       bool             `json:"open,omitempty"` // it went on
	Failure    startup.Reason   `json:"failure,omitempty"`
	Attributes []Attribute      `json:"attributes,omitempty"`
	Events     []Event          `json:"events,omitempty"`
}

// Event is one within a phase.
type Event struct {
	Name       string           `json:"name"`
	Time       metav1.MicroTime `json:"time"`
	Attributes []Attribute      `json:"attributes,omitempty"`
}

// Attribute has one of the values: YAML does not tell 1 from 1.0.
type Attribute struct {
	Key     string    `json:"key"`
	String  string    `json:"string,omitempty"`
	Int     *int64    `json:"int,omitempty"`
	Double  *float64  `json:"double,omitempty"`
	Bool    *bool     `json:"bool,omitempty"`
	Doubles []float64 `json:"doubles,omitempty"`
}

// phasesOf are the spans of a pod as a document.
func phasesOf(uid types.UID, spans []pod.Span) Phases {
	out := Phases{TypeMeta: metav1.TypeMeta{APIVersion: APIVersion, Kind: kindPhases}, PodUID: uid}
	for i := range spans {
		sp := &spans[i]
		p := Phase{
			Name: sp.Name, Key: sp.Key, Parent: sp.ParentKey, Start: metav1.NewMicroTime(sp.Start), End: metav1.NewMicroTime(sp.End),
			Open: sp.Open, Failure: sp.Failure, Attributes: attributesOf(sp.Attributes),
		}
		for _, e := range sp.Events {
			p.Events = append(p.Events, Event{e.Name, metav1.NewMicroTime(e.Time), attributesOf(e.Attributes)})
		}
		out.Phases = append(out.Phases, p)
	}
	return out
}

func attributesOf(of []attribute.KeyValue) (out []Attribute) {
	for _, a := range of {
		to := Attribute{Key: string(a.Key)}
		switch v := a.Value; v.Type() {
		case attribute.INT64:
			to.Int = new(v.AsInt64())
		case attribute.FLOAT64:
			to.Double = new(v.AsFloat64())
		case attribute.BOOL:
			to.Bool = new(v.AsBool())
		case attribute.FLOAT64SLICE:
			to.Doubles = v.AsFloat64Slice()
		default:
			to.String = v.String()
		}
		out = append(out, to)
	}
	return out
}

// spans are those of a document. One that tells no phase is a slip of whoever wrote it.
func (p *Phases) spans() (out []pod.Span, err error) {
	for n, of := range p.Phases {
		if of.Name == "" || of.Key == "" || of.End.Before(&of.Start) {
			return nil, fmt.Errorf("phase %d of pod %s has no name, no key or ends before it starts", n+1, p.PodUID)
		}
		sp := pod.Span{Open: of.Open, Span: startup.Span{
			Name: of.Name, Key: of.Key, ParentKey: of.Parent, Start: of.Start.Time, End: of.End.Time, Failure: of.Failure, Attributes: keyValues(of.Attributes),
		}}
		for _, e := range of.Events {
			sp.Events = append(sp.Events, startup.Event{Name: e.Name, Time: e.Time.Time, Attributes: keyValues(e.Attributes)})
		}
		out = append(out, sp)
	}
	return out, nil
}

func keyValues(of []Attribute) (out []attribute.KeyValue) {
	for _, a := range of {
		switch {
		case a.Int != nil:
			out = append(out, attribute.Int64(a.Key, *a.Int))
		case a.Double != nil:
			out = append(out, attribute.Float64(a.Key, *a.Double))
		case a.Bool != nil:
			out = append(out, attribute.Bool(a.Key, *a.Bool))
		case a.Doubles != nil:
			out = append(out, attribute.Float64Slice(a.Key, a.Doubles))
		default:
			out = append(out, attribute.String(a.Key, a.String))
		}
	}
	return out
}
