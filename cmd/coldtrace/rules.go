// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/startup"
)

// rule is a line of an explanation.
type rule struct {
	name    string
	saw     string
	decided string
	advice  []string
}

// Names of the rules that reasons belong to.
const (
	ruleSelection   = "selection"
	ruleAnnotations = "annotations"
	ruleGPU         = "gpu"
	ruleCommand     = "command"
	ruleEnv         = "env"
	ruleWrapper     = "wrapper"
	ruleFlag        = "vllm flag"
	ruleSampling    = "request sampling"
	ruleInside      = "inside"
)

// reasonRules are the reasons that belong to one rule, whatever their detail is.
var reasonRules = map[inject.Reason]string{
	inject.ReasonAnnotation:     ruleAnnotations,
	inject.ReasonKnownImage:     ruleCommand,
	inject.ReasonClaim:          ruleGPU,
	inject.ReasonNoWrapperImage: ruleWrapper, inject.ReasonUpstream: ruleWrapper, inject.ReasonNoCommand: ruleWrapper,
	inject.ReasonTaken: ruleWrapper, inject.ReasonInit: ruleWrapper, inject.ReasonFootprint: ruleWrapper, inject.ReasonImageVolumes: ruleWrapper,
	inject.ReasonBreaker: ruleWrapper, inject.ReasonRuntimeClass: ruleWrapper, inject.ReasonUserNamespace: ruleWrapper,
	inject.ReasonRefused: ruleWrapper,
	inject.ReasonNotVLLM: ruleFlag, inject.ReasonNotServer: ruleFlag, inject.ReasonFlagMode: ruleFlag,
	inject.ReasonFlagNeedsShell: ruleFlag, inject.ReasonNoWrapper: ruleFlag,
	inject.ReasonUserSampling: ruleSampling,
}

// detailRules are the details by which a reason that several rules give is told apart.
var detailRules = map[string]string{
	string(inject.FeatureWrapper): ruleWrapper, string(inject.FeatureVLLMFlag): ruleFlag, string(inject.FeatureSampling): ruleSampling,
	string(inject.FeatureEnv): ruleEnv, "OTEL_TRACES_SAMPLER": ruleSampling,
}

// ruleOf is the rule that gave the i-th note: selection speaks first, and alone if it says no.
func ruleOf(i int, n inject.Note) string {
	if i == 0 {
		return ruleSelection
	}
	if r, ok := detailRules[n.Detail]; ok {
		return r
	}
	if r, ok := reasonRules[n.Reason]; ok {
		return r
	}
	return ruleEnv
}

// rulesOf are the lines for a pod, in the order in which the rules are applied.
func rulesOf(req inject.Request, sel *inject.Selection, ops []inject.Operation, d *inject.Decision) []rule {
	id := &sel.Identity
	out := []rule{
		{name: ruleSelection, saw: sawSelection(req)},
		{name: "container", saw: count(lasting(req), "container") + ", " + strconv.Itoa(id.WithGPU) + " with a GPU", decided: cmp.Or(id.Container, "none")},
	}
	if len(sel.Warnings) > 0 {
		out = append(out, rule{name: ruleAnnotations, saw: count(len(sel.Warnings), "annotation") + " without effect", decided: "the rest applies"})
	}
	if id.Index >= 0 {
		out = append(out, identityRules(sel)...)
	}
	if sel.Selected {
		out = append(out,
			rule{name: ruleEnv, saw: "OTLP endpoint " + cmp.Or(sel.Settings.OTLP.Endpoint, "none"), decided: env(ops)},
			rule{name: ruleWrapper, saw: sawWrapper(req, sel), decided: delivered(ops)},
			rule{name: ruleFlag, saw: "mode " + string(sel.Settings.VLLMFlag)},
			rule{name: ruleSampling, saw: "sampler " + sel.Settings.RequestSampling.Sampler},
			inside(req, sel, d),
		)
	}
	for i := range out {
		out[i].tell(d)
	}
	return out
}

// inside is the line about who tells what happens in the container.
func inside(req inject.Request, sel *inject.Selection, d *inject.Decision) rule {
	wrapped := slices.Contains(d.Features, inject.FeatureWrapper) || inject.Wrapped(req.Pod.Metadata.Annotations)
	by, reason := inject.InsideOf(sel.Settings.Logs, wrapped, !req.LogsForbidden)
	r := rule{name: ruleInside, saw: "logs " + string(sel.Settings.Logs), decided: string(by) + ": " + string(reason)}
	if e, _ := inject.Explain(reason); e.Advice != "" {
		r.advice = []string{e.Advice}
	}
	return r
}

func lasting(req inject.Request) (n int) {
	for range req.Pod.Spec.Lasting() {
		n++
	}
	return n
}

// identityRules are the lines about what a container is.
func identityRules(sel *inject.Selection) []rule {
	id := &sel.Identity
	saw, gpu, command := count(id.NumGPUs, "GPU"), cmp.Or(id.GPUType, "unknown type; the wrapper asks the driver"), "nothing to start it through"
	if id.Claimed {
		saw = "a resource claim; how many GPUs it asks for is not in the pod"
	}
	if id.MIG != "" {
		gpu += ", MIG " + id.MIG
	}
	if id.Launch.Known {
		command = "known"
	}
	return []rule{
		{name: ruleGPU, saw: saw, decided: gpu},
		{name: ruleCommand, saw: sawCommand(sel), decided: command},
		{name: "engine", saw: cmp.Or(sel.Settings.Engine, "the command"), decided: cmp.Or(id.Engine, "unknown") + ", " + string(id.Role)},
		{name: "endpoint", saw: "annotations, labels, owner", decided: cmp.Or(id.EndpointName, "no name")},
		{name: "model", saw: "annotations, arguments, env", decided: cmp.Or(id.ModelName, "no name")},
		{name: "health", saw: "probes, ports, arguments", decided: cmp.Or(id.HealthURL, "the wrapper looks at the arguments")},
	}
}

// tell adds the reasons that the rule gave, and what to do about them.
func (r *rule) tell(d *inject.Decision) {
	var reasons []string
	for i, n := range d.Notes {
		if ruleOf(i, n) != r.name {
			continue
		}
		text := string(n.Reason)
		if n.Detail != "" && detailRules[n.Detail] == "" {
			text += " (" + n.Detail + ")"
		}
		reasons = append(reasons, text)
		if e, _ := inject.Explain(n.Reason); e.Advice != "" && !slices.Contains(r.advice, e.Advice) {
			r.advice = append(r.advice, e.Advice)
		}
	}
	feature := map[string]inject.Feature{ruleFlag: inject.FeatureVLLMFlag, ruleSampling: inject.FeatureSampling}[r.name]
	if r.decided == "" && feature != "" {
		r.decided = "no"
		if slices.Contains(d.Features, feature) {
			r.decided = "yes"
		}
	}
	if len(reasons) > 0 {
		r.decided = strings.TrimPrefix(r.decided+": "+strings.Join(reasons, ", "), ": ")
	}
}

func sawSelection(req inject.Request) string {
	sel := &req.Policy.Selection
	saw := []string{fmt.Sprintf("label %s=%q", sel.LabelKey, req.Pod.Metadata.Labels[sel.LabelKey])}
	for _, s := range config.Table {
		key := config.Prefix + s.Annotation
		if v, ok := req.Pod.Metadata.Annotations[key]; ok {
			saw = append(saw, key+"="+strconv.Quote(v))
		} else if v, ok := req.NamespaceAnnotations[key]; ok {
			saw = append(saw, key+"="+strconv.Quote(v)+" of the namespace")
		}
	}
	return strings.Join(saw, ", ")
}

func sawCommand(sel *inject.Selection) string {
	launch := &sel.Identity.Launch
	switch {
	case launch.Wrapped:
		return "the wrapper in front of a command"
	case len(sel.Settings.Entrypoint)+len(sel.Settings.Cmd) > 0:
		return "the image's ENTRYPOINT"
	case !launch.Known:
		return "none: the image's ENTRYPOINT, which is not known"
	case launch.Shell != "":
		return "a string for " + launch.Shell
	}
	return "a list of arguments"
}

func sawWrapper(req inject.Request, sel *inject.Selection) string {
	volumes := "can't"
	if req.ImageVolumes {
		volumes = "can"
	}
	return "delivery " + string(sel.Settings.Wrapper.Delivery) + ", nodes " + volumes + " mount images"
}

// env are the names that a patch adds to a container.
func env(ops []inject.Operation) string {
	var names []string
	for _, op := range ops {
		if _, rest, ok := strings.Cut(op.Path, "/env"); ok && (rest == "" || rest == "/-") {
			names = append(names, envNames(op)...)
		}
	}
	if len(names) == 0 {
		return "nothing to add"
	}
	const enough = 4
	if n := len(names); n > enough {
		names = append(names[:enough:enough], "and "+strconv.Itoa(n-enough)+" more")
	}
	return "adds " + strings.Join(names, ", ")
}

// delivered is how a patch brings the wrapper.
func delivered(ops []inject.Operation) string {
	changed := changed(ops)
	has := func(field string) bool {
		return slices.ContainsFunc(changed, func(line string) bool { return strings.Contains(line, field) })
	}
	switch {
	case has("/initContainers"), has(" spec/initContainers"):
		return "by init container to " + startup.MountPath
	case has("spec/volumes"):
		return "by image volume to " + startup.MountPath
	}
	return "nothing to add"
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
