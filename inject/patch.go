// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/engine"
	"github.com/coldtrace/coldtrace/engine/server"
	"github.com/coldtrace/coldtrace/startup"
)

// patch is the plan for one pod.
type patch struct {
	req         Request
	sel         *Selection
	decision    *Decision
	ops         []Operation
	annotations []annotation
	inserted    int       // init containers that were put before the target
	wrap        *wrapping // nil: no wrapper
	tracer      bool      // vLLM's tracing is wanted, and another tracer is evident
	noEndpoint  Reason    // why the container will have no OTLP endpoint; empty: it will
	noSampler   Reason    // why vLLM may have no sampler where the policy wants one; empty: that is not so
}

type annotation struct{ key, value string }

func (p *patch) add(path string, value any) {
	p.ops = append(p.ops, Operation{"add", path, value})
}

func (p *patch) replace(path string, value any) {
	p.ops = append(p.ops, Operation{"replace", path, value})
}

func (p *patch) note(r Reason, detail string) {
	p.decision.Notes = append(p.decision.Notes, Note{Reason: r, Detail: detail})
}

func (p *patch) annotate(key, value string) {
	p.annotations = append(p.annotations, annotation{key, value})
}

// writeAnnotations adds them to those that are there.
func (p *patch) writeAnnotations() {
	if len(p.annotations) == 0 {
		return
	}
	if p.req.Pod.Metadata.Annotations == nil {
		all := make(map[string]string, len(p.annotations))
		for _, a := range p.annotations {
			all[a.key] = a.value
		}
		p.add("/metadata/annotations", all)
		return
	}
	for _, a := range p.annotations {
		p.add("/metadata/annotations/"+strings.ReplaceAll(a.key, "/", "~1"), a.value)
	}
}

// container is the target.
func (p *patch) container() *endpoint.Container {
	return p.req.Pod.Spec.Container(p.sel.Identity.Position)
}

// at is the path of a field of the target, after the operations so far.
func (p *patch) at(field string) string {
	list := "/spec/containers/"
	if p.sel.Identity.Init {
		list = initContainers + "/"
	}
	return list + strconv.Itoa(p.sel.Identity.Index+p.inserted) + "/" + field
}

// plan decides the features, each on its own: what cannot be done is noted, the rest is.
func (p *patch) plan() {
	env := &envPlan{container: p.container()}
	id, mode := &p.sel.Identity, p.sel.Settings.VLLMFlag
	p.tracer = id.Engine == engine.VLLM && id.Role == startup.RoleServer && mode != startup.VLLMFlagOff && otherTracer(p.req.Pod, p.container())
	p.noEndpoint = p.endpointProblem()
	p.wrap = p.planWrapper(env)
	p.noSampler = p.samplerProblem()
	flag := p.planFlag()
	if p.req.Policy.Features.Env {
		p.identity(env)
		p.endpointEnv(env)
		p.sampling(env, flag)
	} else {
		p.note(ReasonDisabled, string(FeatureEnv))
	}
	if p.wrap != nil {
		if len(p.container().EnvFrom) > 0 {
			p.note(ReasonEnvFrom, string(FeatureWrapper))
		}
		p.wrapperEnv(env)
		flag.editImageCommand(p.wrap)
		p.wrap.write(p)
	}
	flag.write(p)
	env.write(p)
	for _, f := range []struct {
		feature Feature
		on      bool
	}{
		{FeatureEnv, env.identity}, {FeatureWrapper, p.wrap != nil}, {FeatureVLLMFlag, flag != nil}, {FeatureSampling, env.sampling},
	} {
		if f.on {
			p.decision.Features = append(p.decision.Features, f.feature)
			p.decision.Outcome = Injected
		}
	}
}

// flagEdit is what the command gets for the vLLM flag: a word of its own, or texts in a shell string.
type flagEdit struct {
	word  int
	text  string // a word of its own, to follow that one; empty: the inserts
	front insert
	back  insert
}

// insert is a text that goes into a shell string.
type insert struct {
	offset int
	text   string
}

// apply is the string with both.
func (f *flagEdit) apply(s string) string {
	return s[:f.front.offset] + f.front.text + s[f.front.offset:f.back.offset] + f.back.text + s[f.back.offset:]
}

// none: it is there already, or the wrapper adds it.
func (f *flagEdit) none() bool { return f == nil || *f == flagEdit{} }

// planFlag decides how vLLM gets the flag; nil: not at all.
func (p *patch) planFlag() *flagEdit {
	var (
		id   = &p.sel.Identity
		mode = p.sel.Settings.VLLMFlag
		site = id.Command.Site
	)
	switch {
	case mode == startup.VLLMFlagOff:
		p.note(ReasonFlagMode, string(FeatureVLLMFlag))
	case id.Engine != engine.VLLM:
		p.note(ReasonNotVLLM, "")
	case id.Role != startup.RoleServer:
		p.note(ReasonNotServer, string(id.Role))
	case site.Problem == endpoint.PlaceholderPresent:
		return &flagEdit{}
	case applied(&p.req.Pod.Metadata) && !id.Command.Wrapped:
		p.note(ReasonApplied, string(FeatureVLLMFlag))
	case site.Problem != endpoint.NoProblem:
		p.note(site.Problem, string(FeatureVLLMFlag))
	case p.tracer:
		p.note(ReasonTracer, string(FeatureVLLMFlag))
	case mode == startup.VLLMFlagAlways && p.otherParser():
		p.note(ReasonOtherParser, string(FeatureVLLMFlag))
	case p.wrapperSends() && p.wrap != nil && mode == startup.VLLMFlagAuto && p.noSampler == "":
		return p.autoFlag()
	case p.noEndpoint != "":
		p.note(p.noEndpoint, string(FeatureVLLMFlag))
	case p.noSampler != "":
		p.note(p.noSampler, string(FeatureVLLMFlag))
	case p.wrap == nil && (mode == startup.VLLMFlagAuto || len(p.container().Command) == 0):
		p.note(ReasonNoWrapper, string(FeatureVLLMFlag))
	case mode == startup.VLLMFlagAlways && site.Offset < 0:
		return &flagEdit{word: site.Word, text: literalFlag}
	case mode == startup.VLLMFlagAlways:
		f := p.frontEdit(site)
		f.back.text = ` "` + literalFlag + `"` // quoted: a bracketed IPv6 address is a pattern to the shell
		return f
	default:
		return p.autoFlag()
	}
	return nil
}

// autoFlag leaves it to the wrapper, which a shell string has to name.
func (p *patch) autoFlag() *flagEdit {
	site := p.sel.Identity.Command.Site
	if site.Offset < 0 {
		p.note(ReasonFlagNeedsShell, string(FeatureVLLMFlag))
		return &flagEdit{}
	}
	return p.frontEdit(site)
}

func (p *patch) frontEdit(site endpoint.Site) *flagEdit {
	f := &flagEdit{word: site.Word, front: insert{offset: site.Front}, back: insert{offset: site.Offset}}
	if p.wrap != nil {
		f.front.text = startup.VLLMExecPlaceholder + " "
	}
	return f
}

// otherParser tells if it is not vLLM's Python front end that reads the arguments. What a script may export counts.
func (p *patch) otherParser() bool {
	c := p.container()
	names := func(s string) bool { return strings.Contains(s, server.Rust) || strings.Contains(s, server.GRPC) }
	args := p.sel.Identity.Command.Args
	return slices.ContainsFunc(c.Command, names) || slices.ContainsFunc(c.Args, names) ||
		slices.ContainsFunc(args, func(w endpoint.Word) bool { return server.OtherParser(w.Text) }) ||
		slices.ContainsFunc(c.Env, func(v corev1.EnvVar) bool { return v.Name == server.Rust && server.RustFrontEnd(v.Value) })
}

const literalFlag = startup.VLLMTracesFlag + "=$(" + startup.EnvOTLPEndpoint + ")"

// editImageCommand edits the command that is written for a container that had none.
func (f *flagEdit) editImageCommand(w *wrapping) {
	if f.none() || f.word >= len(w.command) {
		return
	}
	if f.text != "" {
		w.command = slices.Insert(w.command, f.word+1, f.text)
	} else {
		w.command[f.word] = f.apply(w.command[f.word])
	}
	*f = flagEdit{}
}

// write edits the one word, after the wrapper's prefix was put in front of the command.
func (f *flagEdit) write(p *patch) {
	if f.none() {
		return
	}
	c := p.container()
	var text, path string
	index := f.word
	if index < len(c.Command) {
		text, path = c.Command[index], p.at("command/")
		if p.wrap != nil {
			index += len(p.wrap.prefix)
		}
	} else {
		index -= len(c.Command)
		if p.wrap != nil {
			index -= len(p.wrap.command)
		}
		text, path = c.Args[index], p.at("args/")
	}
	if f.text != "" {
		p.add(path+strconv.Itoa(index+1), f.text)
		return
	}
	p.replace(path+strconv.Itoa(index), f.apply(text))
}

// reference is how the kubelet reads a variable, $(NAME), and a shell, $NAME, ${NAME:-default}, ${#NAME}.
var reference = regexp.MustCompile(`\$[({]?[!#]?(\w+)`)

// refers tells if the target's command or args read a variable.
func refers(c *endpoint.Container, name string) bool {
	has := func(s string) bool {
		return strings.Contains(s, name) &&
			slices.ContainsFunc(reference.FindAllStringSubmatch(s, -1), func(found []string) bool { return found[1] == name })
	}
	return slices.ContainsFunc(c.Command, has) || slices.ContainsFunc(c.Args, has)
}
