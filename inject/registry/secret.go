// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"encoding/json"
	"errors"
	"path"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
)

// Secrets is a keychain of pull secrets: the contents of .dockerconfigjson entries, in the order the pod names them.
type Secrets [][]byte

// Resolve finds the credentials for a registry; anonymous if no secret has any.
func (s Secrets) Resolve(target authn.Resource) (authn.Authenticator, error) {
	for _, raw := range s {
		var file struct {
			Auths map[string]authn.AuthConfig `json:"auths"`
		}
		if err := json.Unmarshal(raw, &file); err != nil {
			return nil, errors.New("read pull secret: not a .dockerconfigjson") // its text may quote the secret
		}
		best, config := -1, authn.AuthConfig{}
		for pattern, c := range file.Auths {
			if p := trim(pattern); len(p) > best && covers(p, target.String()) {
				best, config = len(p), c
			}
		}
		if best >= 0 {
			return authn.FromConfig(config), nil
		}
	}
	return authn.Anonymous, nil
}

// trim takes off what people write around a registry's name.
func trim(pattern string) string {
	pattern = strings.TrimPrefix(strings.TrimPrefix(pattern, "https://"), "http://")
	pattern = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(pattern, "/"), "/v1"), "/v2")
	if pattern == "docker.io" || pattern == "registry-1.docker.io" {
		return "index.docker.io"
	}
	return pattern
}

// covers tells if a registry, with or without a path and * in parts of its name, is for an image's repository.
func covers(pattern, repository string) bool {
	host, prefix, _ := strings.Cut(pattern, "/")
	gotHost, rest, _ := strings.Cut(repository, "/")
	parts, gotParts := strings.Split(host, "."), strings.Split(gotHost, ".")
	if len(parts) != len(gotParts) {
		return false
	}
	for i := range parts {
		if ok, err := path.Match(parts[i], gotParts[i]); err != nil || !ok {
			return false
		}
	}
	return prefix == "" || rest == prefix || strings.HasPrefix(rest, prefix+"/")
}
