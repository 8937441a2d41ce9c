// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"path"
	"strings"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/endpoint"
)

// images is what images run where no annotation says it: by the policy's table, else what the registry told of the target's.
func images(req Request) func(image string) (entrypoint, cmd []string) {
	table, entrypoint, cmd := req.Policy.KnownImages, req.Entrypoint, req.Cmd
	return func(image string) ([]string, []string) {
		for _, k := range table {
			if matchImage(k.Image, image) {
				return k.Entrypoint, k.Cmd
			}
		}
		return entrypoint, cmd
	}
}

// image fills in what the target's image runs, if that is of interest, and tells if it is known. What another container's
// runs would be the wrong command.
func (s *Selection) image(of func(image string) (entrypoint, cmd []string), spec *endpoint.PodSpec) bool {
	set := &s.Settings
	if len(set.Entrypoint)+len(set.Cmd) == 0 && s.Identity.Index >= 0 {
		if c := spec.Container(s.Identity.Position); len(c.Command) == 0 {
			set.Entrypoint, set.Cmd = of(c.Image)
		}
	}
	return len(set.Entrypoint)+len(set.Cmd) > 0
}

// matchImage compares an image without its tag, or with it where the pattern has one; * stands for any run.
func matchImage(pattern, image string) bool {
	image, tag, _ := endpoint.SplitImage(image)
	if _, wanted, _ := endpoint.SplitImage(pattern); wanted != "" && tag != "" {
		image += ":" + tag
	}
	// path.Match's * stops at a slash; ours does not.
	ok, err := path.Match(strings.ReplaceAll(pattern, "/", "\x00"), strings.ReplaceAll(image, "/", "\x00"))
	return err == nil && ok
}

// WantsEntrypoint is the target's image, if the pod is selected, has no command, and nothing in the pod or the policy
// tells its image's entrypoint: the one case in which a registry is worth asking.
func WantsEntrypoint(req Request) (image string, ok bool) {
	if !req.Policy.RegistryLookup {
		return "", false
	}
	s := Selected(req)
	if !s.Selected || s.Identity.Command.Known || s.Settings.Wrapper.Delivery == config.DeliveryOff {
		return "", false
	}
	return req.Pod.Spec.Container(s.Identity.Position).Image, true
}
