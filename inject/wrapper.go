// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"path"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/startup"
)

// VolumeName is that of the volume that the wrapper comes by.
const VolumeName = "coldtrace"

// wrapping is how the wrapper gets in front of the command.
type wrapping struct {
	delivery config.Delivery
	prefix   []string // empty: it is there already
	command  []string // what follows it where the pod has no command; nil: the pod's own stays
	wrapped  bool

	resources corev1.ResourceRequirements // of the init container
}

// planWrapper decides if and how; nil: not, and the reason is noted.
func (p *patch) planWrapper(env *envPlan) *wrapping {
	var (
		c   = p.container()
		id  = &p.sel.Identity
		set = &p.sel.Settings
	)
	no := func(r Reason, detail string) *wrapping { p.note(r, detail); return nil }
	upstream, _ := strconv.ParseBool(c.Literal(startup.EnvUpstream))
	if id.Command.Wrapped && p.mounted() {
		return &wrapping{wrapped: true}
	}
	switch {
	case !p.req.Policy.Features.Wrapper, set.Wrapper.Delivery == config.DeliveryOff:
		return no(ReasonDisabled, string(FeatureWrapper))
	case p.req.NoWrapper != "":
		return no(p.req.NoWrapper, string(FeatureWrapper))
	case p.req.Policy.Wrapper.Image == "":
		return no(ReasonNoWrapperImage, "")
	case upstream:
		return no(ReasonUpstream, "")
	case applied(&p.req.Pod.Metadata):
		return no(ReasonApplied, string(FeatureWrapper))
	case !id.Command.Known:
		return no(endpoint.EntrypointUnknown, c.Name)
	case id.Command.Init && set.Inject != "true":
		return no(ReasonInit, c.Name)
	case id.Engine == "" && !p.req.Policy.Wrapper.UnknownEngines && set.Inject != "true":
		return no(endpoint.NoEngine, string(FeatureWrapper))
	case p.noEndpoint != "" && !p.wrapperSends():
		return no(p.noEndpoint, string(FeatureWrapper))
	case !env.has(startup.EnvPodUID) && !p.req.Policy.Features.Env:
		return no(ReasonDisabled, string(FeatureEnv))
	case !env.has(startup.EnvPodUID) && refers(c, startup.EnvPodUID):
		return no(ReasonReferenced, startup.EnvPodUID)
	}
	if name := p.taken(); name != "" {
		return no(ReasonTaken, name)
	}
	w := &wrapping{}
	if !id.Command.Wrapped { // a command copied from an injected pod, without its volume
		w.prefix = endpoint.Prefix(id.Command.Shell)
	}
	switch w.delivery = p.delivery(); w.delivery {
	case config.DeliveryImageVolume:
		if !p.req.ImageVolumes {
			return no(ReasonImageVolumes, "")
		}
	default:
		var ok bool
		if w.resources, ok = p.footprint(); !ok {
			return no(ReasonFootprint, "")
		}
	}
	if len(c.Command) == 0 {
		command := endpoint.ImageCommand(c, set.Entrypoint, set.Cmd)
		w.command = command[:len(command)-len(c.Args)] // which stay where they are
	}
	return w
}

// mounted tells if the target has the wrapper's mount.
func (p *patch) mounted() bool {
	return slices.ContainsFunc(p.container().VolumeMounts, func(m corev1.VolumeMount) bool {
		return m.Name == VolumeName && m.MountPath == startup.MountPath
	})
}

// taken is the name of ours that the pod uses for something else.
func (p *patch) taken() string {
	spec := &p.req.Pod.Spec
	named := func(c endpoint.Container) bool { return c.Name == startup.InstallName }
	switch {
	case slices.ContainsFunc(spec.Volumes, func(v endpoint.Volume) bool { return v.Name == VolumeName }):
		return "volume " + VolumeName
	case slices.ContainsFunc(spec.InitContainers, named), slices.ContainsFunc(spec.Containers, named):
		return "container " + startup.InstallName
	case slices.ContainsFunc(p.container().VolumeMounts, func(m corev1.VolumeMount) bool { return under(m.MountPath, startup.MountPath) }):
		return "path " + startup.MountPath
	}
	return ""
}

// under tells if what is mounted at a place is in a folder, or over it. The kubelet takes a relative place as one of the root.
func under(place, folder string) bool {
	return strings.HasPrefix(path.Clean("/"+place)+"/", folder+"/")
}

// write adds volume, mount, init container and prefix.
func (w *wrapping) write(p *patch) {
	if w.wrapped {
		return
	}
	spec, c := &p.req.Pod.Spec, p.container()
	pol := &p.req.Policy.Wrapper
	vol := corev1.Volume{Name: VolumeName}
	if w.delivery == config.DeliveryImageVolume {
		vol.Image = &corev1.ImageVolumeSource{Reference: pol.Image, PullPolicy: corev1.PullPolicy(pol.ImagePullPolicy)}
	} else {
		vol.EmptyDir = &corev1.EmptyDirVolumeSource{SizeLimit: &volumeSize}
		w.addInstall(p)
		p.markEvictable()
	}
	appendTo(p, "/spec/volumes", spec.Volumes == nil, vol)
	appendTo(p, p.at("volumeMounts"), c.VolumeMounts == nil, corev1.VolumeMount{Name: VolumeName, MountPath: startup.MountPath, ReadOnly: true})
	if len(c.Command) == 0 {
		p.add(p.at("command"), append(slices.Clone(w.prefix), w.command...))
		return
	}
	command := p.at("command/")
	for i, word := range w.prefix {
		p.add(command+strconv.Itoa(i), word)
	}
}

const initContainers = "/spec/initContainers"

// addInstall puts the init container last, so that no index changes, or right before the target if that is one itself.
func (w *wrapping) addInstall(p *patch) {
	if at := p.sel.Identity.Position; at.Init {
		p.add(initContainers+"/"+strconv.Itoa(at.Index), w.install(p))
		p.inserted++
		return
	}
	appendTo(p, initContainers, p.req.Pod.Spec.InitContainers == nil, w.install(p))
}

// appendTo appends to a list that may not be there.
func appendTo[T any](p *patch, path string, absent bool, value T) {
	if absent {
		p.add(path, []T{value})
		return
	}
	p.add(path+"/-", value)
}
