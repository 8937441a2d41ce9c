// SPDX-License-Identifier: Apache-2.0

// Package explain says of a pod what each rule of injection saw, what it decided, and what to do about it.
package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/startup"
)

// Rule is a line of an explanation: Decided by what it saw, and what to do if that is not what was wanted.
type Rule struct {
	Name    string
	Saw     string
	Decided string
	Advice  []string
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
	inject.ReasonNoWrapperImage: ruleWrapper, inject.ReasonUpstream: ruleWrapper, endpoint.EntrypointUnknown: ruleWrapper,
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
	string(inject.FeatureEnv): ruleEnv, startup.EnvSampler: ruleSampling,
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

// Rules are the lines for a pod, in the order in which the rules are applied. The operations and the decision are those that
// inject.Pod made of the request.
func Rules(req inject.Request, ops []inject.Operation, d *inject.Decision) []Rule {
	sel := new(inject.Selected(req))
	id, containers := &sel.Identity, 0
	for range req.Pod.Spec.Lasting() {
		containers++
	}
	out := []Rule{
		{Name: ruleSelection, Saw: sawSelection(req)},
		{Name: "container", Saw: count(containers, "container") + ", " + strconv.Itoa(id.WithGPU) + " with a GPU", Decided: cmp.Or(id.Container, "none")},
	}
	if len(sel.Warnings) > 0 {
		out = append(out, Rule{Name: ruleAnnotations, Saw: count(len(sel.Warnings), "annotation") + " without effect", Decided: "the rest applies"})
	}
	if id.Index >= 0 {
		out = append(out, identityRules(sel, wrapped(req, d))...)
	}
	if sel.Selected {
		out = append(out,
			Rule{Name: ruleEnv, Saw: "OTLP endpoint " + cmp.Or(sel.Settings.OTLP.Endpoint, "none"), Decided: env(ops)},
			Rule{Name: ruleWrapper, Saw: sawWrapper(req, sel), Decided: delivered(ops)},
			Rule{Name: ruleFlag, Saw: "mode " + sel.Settings.VLLMFlag},
			Rule{Name: ruleSampling, Saw: "sampler " + sel.Settings.RequestSampling.Sampler},
			inside(req, sel, d),
		)
	}
	if sel.Selected || id.Group.Is() {
		out = append(out, groupRule(id, req.Pod.Metadata.UID == ""))
	}
	for i := range out {
		out[i].tell(d)
	}
	return out
}

// wrapped tells whether the wrapper goes in, or is in.
func wrapped(req inject.Request, d *inject.Decision) bool {
	return slices.Contains(d.Features, inject.FeatureWrapper) || inject.Wrapped(req.Pod.Metadata.Annotations)
}

// inside is the line about who tells what happens in the container.
func inside(req inject.Request, sel *inject.Selection, d *inject.Decision) Rule {
	by, reason := inject.InsideOf(sel.Settings.Logs, wrapped(req, d), !req.LogsForbidden)
	r := Rule{Name: ruleInside, Saw: "logs " + string(sel.Settings.Logs), Decided: string(by) + ": " + string(reason)}
	if e, _ := inject.Explain(reason); e.Advice != "" {
		r.Advice = []string{e.Advice}
	}
	return r
}

// groupRule is the line about which pods the pod starts with: lws/llama/0, worker 3, of 4 pods.
func groupRule(id *endpoint.Identity, template bool) Rule {
	g := id.Group
	r := Rule{Name: "group", Saw: id.GroupBy, Decided: "starts alone"}
	if !g.Is() {
		if template {
			r.Saw += " in the template; a controller may say so on its pods"
		}
		return r
	}
	r.Decided = g.Key + ", " + string(g.Role)
	if g.Index != nil {
		r.Decided += " " + strconv.Itoa(*g.Index)
	}
	if g.Size > 0 {
		r.Decided += ", of " + count(g.Size, "pod")
	}
	return r
}

// identityRules are the lines about what a container is.
func identityRules(sel *inject.Selection, wrapped bool) []Rule {
	id := &sel.Identity
	saw, gpu, command := count(id.NumGPUs, "GPU"), cmp.Or(id.GPUType, "unknown type"), "nothing to start it through"
	health := cmp.Or(id.HealthURL, "nobody asks")
	if wrapped && id.GPUType == "" {
		gpu += "; the wrapper asks the driver"
	}
	if wrapped && id.HealthURL == "" {
		health = "the wrapper looks at the arguments"
	}
	switch {
	case id.Claimed:
		saw = "a resource claim; how many GPUs it asks for is not in the pod"
	case id.GPU && id.NumGPUs == 0:
		saw = "a share of a GPU"
	}
	if id.MIG != "" {
		gpu += ", MIG " + id.MIG
	}
	if id.Command.Known {
		command = "known"
	}
	return []Rule{
		{Name: ruleGPU, Saw: saw, Decided: gpu},
		{Name: ruleCommand, Saw: sawCommand(sel), Decided: command},
		{Name: "engine", Saw: cmp.Or(sel.Settings.Engine, "the command"), Decided: cmp.Or(id.Engine, "unknown") + ", " + string(id.Role)},
		{Name: "endpoint", Saw: "annotations, labels, owner", Decided: cmp.Or(id.EndpointName, "no name")},
		{Name: "model", Saw: "annotations, arguments, env", Decided: cmp.Or(id.ModelName, "no name")},
		{Name: "health", Saw: "probes, ports, arguments", Decided: health},
	}
}

// tell adds the reasons that the rule gave, and what to do about them.
func (r *Rule) tell(d *inject.Decision) {
	var reasons []string
	for i, n := range d.Notes {
		if ruleOf(i, n) != r.Name {
			continue
		}
		text := string(n.Reason)
		if n.Detail != "" && detailRules[n.Detail] == "" {
			text += " (" + n.Detail + ")"
		}
		reasons = append(reasons, text)
		if e, _ := inject.Explain(n.Reason); e.Advice != "" && !slices.Contains(r.Advice, e.Advice) {
			r.Advice = append(r.Advice, e.Advice)
		}
	}
	feature := map[string]inject.Feature{ruleFlag: inject.FeatureVLLMFlag, ruleSampling: inject.FeatureSampling}[r.Name]
	if r.Decided == "" && feature != "" {
		r.Decided = "no"
		if slices.Contains(d.Features, feature) {
			r.Decided = "yes"
		}
	}
	if len(reasons) > 0 {
		r.Decided = strings.TrimPrefix(r.Decided+": "+strings.Join(reasons, ", "), ": ")
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
	command := &sel.Identity.Command
	switch {
	case command.Wrapped:
		return "the wrapper in front of a command"
	case len(sel.Settings.Entrypoint)+len(sel.Settings.Cmd) > 0:
		return "the image's ENTRYPOINT"
	case !command.Known:
		return "none: the image's ENTRYPOINT, which is not known"
	case command.Shell != "":
		return "a string for " + command.Shell
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
			names = append(names, envNames(op.Value)...)
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
	changed := Changes(ops)
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

// envNames are the names of the entries that an operation adds.
func envNames(value any) (names []string) {
	switch v := value.(type) {
	case *corev1.EnvVar:
		return []string{v.Name}
	case []corev1.EnvVar:
		for i := range v {
			names = append(names, v[i].Name)
		}
	}
	return names
}

// Changes are the places a patch touches, each once.
func Changes(ops []inject.Operation) []string {
	var out []string
	for _, op := range ops {
		path := strings.TrimPrefix(op.Path, "/")
		path = strings.NewReplacer("~1", "/", "~0", "~").Replace(path)
		if line := op.Operation + " " + path; !slices.Contains(out, line) {
			out = append(out, line)
		}
	}
	return out
}
