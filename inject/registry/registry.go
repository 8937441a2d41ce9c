// SPDX-License-Identifier: Apache-2.0

// Package registry asks an image's registry for its ENTRYPOINT and CMD, for pods that give no command. It is the one
// part of injection that speaks to anything, it is off unless the policy asks for it, and it gives up after a second:
// a pod whose image can't be asked about is injected without the wrapper.
package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"k8s.io/apimachinery/pkg/util/cache"

	"github.com/coldtrace/coldtrace/endpoint"
)

// Keychain holds the credentials for a pod's images: its pull secrets and its service account's.
type Keychain func(ctx context.Context, namespace string, pod *endpoint.Pod) (authn.Keychain, error)

// Command is what an image runs when it is told nothing.
type Command struct{ Entrypoint, Cmd []string }

// errPlatforms means that an image runs different commands on different platforms and the pod does not say on which one
// it will be.
var errPlatforms = errors.New("the image's platforms have different entrypoints and the pod does not select one")

// Bounds of what is remembered.
const (
	maxImages = 1000
	tagStays  = 5 * time.Minute      // how long what a tag points at is remembered, failures included
	forGood   = 365 * 24 * time.Hour // what a digest stands for never changes
)

// Registries answers from memory where it can.
type Registries struct {
	keychain Keychain      // nil: anonymous
	budget   time.Duration // for one look-up, the keychain's included
	known    *cache.LRUExpireCache
}

// key is an image as a pod may see it: another namespace may not be allowed to.
type key struct{ namespace, image, arch string }

type answer struct {
	command Command
	err     error
}

// New makes a memory of images, each look-up in which takes no longer than the budget. Without a keychain it asks as anybody.
func New(keychain Keychain, budget time.Duration) *Registries {
	return &Registries{keychain: keychain, budget: budget, known: cache.NewLRUExpireCache(maxImages)}
}

// Lookup tells what an image runs. Concurrent calls for one image may each ask; the answers are the same.
func (r *Registries) Lookup(ctx context.Context, namespace string, pod *endpoint.Pod, image string) (Command, error) {
	k := key{namespace, image, pod.Spec.NodeSelector["kubernetes.io/arch"]}
	if known, ok := r.known.Get(k); ok {
		a := known.(answer) //nolint:forcetypeassert // nothing else is put in
		return a.command, a.err
	}
	ctx, cancel := context.WithTimeout(ctx, r.budget)
	defer cancel()
	ref, err := name.ParseReference(image)
	if err != nil {
		return Command{}, fmt.Errorf("parse image: %w", err)
	}
	c, err := r.ask(ctx, ref, namespace, pod, k.arch)
	stays := tagStays
	if _, byDigest := ref.(name.Digest); byDigest && err == nil {
		stays = forGood
	}
	r.known.Add(k, answer{c, err}, stays)
	return c, err
}

func (r *Registries) ask(ctx context.Context, ref name.Reference, namespace string, pod *endpoint.Pod, arch string) (Command, error) {
	keychain := authn.NewMultiKeychain()
	if r.keychain != nil {
		var err error
		if keychain, err = r.keychain(ctx, namespace, pod); err != nil {
			return Command{}, fmt.Errorf("read pull secrets: %w", err)
		}
	}
	opts := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(keychain)}
	desc, err := remote.Get(ref, opts...)
	if err != nil {
		return Command{}, fmt.Errorf("get manifest: %w", err)
	}
	if !desc.MediaType.IsIndex() {
		image, err := desc.Image()
		if err != nil {
			return Command{}, fmt.Errorf("read manifest: %w", err)
		}
		return command(image)
	}
	index, err := desc.ImageIndex()
	if err != nil {
		return Command{}, fmt.Errorf("read index: %w", err)
	}
	return ofIndex(index, arch)
}

// ofIndex is the command that the image has on every platform the pod may run on.
func ofIndex(index v1.ImageIndex, arch string) (Command, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return Command{}, fmt.Errorf("read index: %w", err)
	}
	var found []Command
	for _, m := range manifest.Manifests {
		// Attestations are listed beside images, on platform unknown/unknown.
		if p := m.Platform; !m.MediaType.IsImage() || p == nil || p.OS != "linux" || arch != "" && p.Architecture != arch {
			continue
		}
		image, err := index.Image(m.Digest)
		if err != nil {
			return Command{}, fmt.Errorf("read image of %s: %w", m.Platform, err)
		}
		c, err := command(image)
		if err != nil {
			return Command{}, err
		}
		if len(found) > 0 && (!slices.Equal(c.Entrypoint, found[0].Entrypoint) || !slices.Equal(c.Cmd, found[0].Cmd)) {
			return Command{}, errPlatforms
		}
		found = append(found, c)
	}
	if len(found) == 0 {
		return Command{}, errors.New("the image has no variant for the pod's platform")
	}
	return found[0], nil
}

func command(image v1.Image) (Command, error) {
	file, err := image.ConfigFile()
	if err != nil {
		return Command{}, fmt.Errorf("read image config: %w", err)
	}
	c := Command{Entrypoint: file.Config.Entrypoint, Cmd: file.Config.Cmd}
	if len(c.Entrypoint)+len(c.Cmd) == 0 {
		return Command{}, errors.New("the image has neither ENTRYPOINT nor CMD")
	}
	return c, nil
}
