// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"path"
	"strings"

	"github.com/coldtrace/coldtrace/config"
)

// image fills in what is known of the image's entrypoint: the annotation's, else the policy's table, else what the
// registry told. It tells if there is any.
func (s *Selection) image(req Request) bool {
	set := &s.Settings
	if len(set.Entrypoint)+len(set.Cmd) > 0 {
		return true
	}
	name := set.Container
	for _, c := range req.Pod.Spec.Lasting() {
		if len(c.Command) > 0 || name != "" && c.Name != name {
			continue
		}
		for _, k := range req.Policy.KnownImages {
			if matchImage(k.Image, c.Image) {
				set.Entrypoint, set.Cmd = k.Entrypoint, k.Cmd
				return true
			}
		}
	}
	set.Entrypoint, set.Cmd = req.Entrypoint, req.Cmd
	return len(set.Entrypoint)+len(set.Cmd) > 0
}

// matchImage compares an image without its tag, or with it where the pattern has one; * stands for any run.
func matchImage(pattern, image string) bool {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		if j := strings.LastIndexByte(pattern, ':'); j <= strings.LastIndexByte(pattern, '/') {
			image = image[:i]
		}
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
	if !s.Selected || s.Identity.Launch.Known || s.Settings.Wrapper.Delivery == config.DeliveryOff {
		return "", false
	}
	return req.Pod.Spec.Container(s.Identity.Position).Image, true
}
