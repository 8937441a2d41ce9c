// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// push makes and pushes what config names, a line for each image.
func push(ctx context.Context, config Config, checkout string, out io.Writer) error {
	shop := &workshop{checkout: checkout, version: config.Version, git: gitVersion(ctx, checkout) != noGit, built: map[string]string{}, engine: map[string][]v1.Layer{}}
	release, err := shop.open()
	if err != nil {
		return err
	}
	defer release()
	for _, image := range config.Names {
		if err := pushOne(ctx, config, shop, image, config.Tag, recipeOf(image), out); err != nil {
			return err
		}
	}
	for _, variant := range config.Variants {
		variantImage := func(ctx context.Context, s *workshop, arch string) (plan, error) {
			return simImage(ctx, s, arch, variant)
		}
		if err := pushOne(ctx, config, shop, "sim", variant.Tag(), variantImage, out); err != nil {
			return err
		}
	}
	return nil
}

func pushOne(ctx context.Context, config Config, shop *workshop, image, tag string,
	describe func(context.Context, *workshop, string) (plan, error), out io.Writer,
) error {
	options := []name.Option{}
	if config.Insecure {
		options = append(options, name.Insecure)
	}
	ref, err := name.NewTag(config.Registry+"/"+image+":"+tag, options...)
	if err != nil {
		return fmt.Errorf("name image: %w", err)
	}
	start := time.Now()
	var made []v1.Image
	for _, arch := range config.Arches {
		p, err := describe(ctx, shop, arch)
		if err != nil {
			return fmt.Errorf("make image %s: %w", image, err)
		}
		img, err := assemble(p, image, config.Version, arch)
		if err != nil {
			return fmt.Errorf("assemble image %s: %w", image, err)
		}
		made = append(made, img)
	}
	built := time.Now()
	if err := upload(ctx, ref, made, config.Arches); err != nil {
		return fmt.Errorf("push %s: %w", ref, err)
	}
	fmt.Fprintf(out, "  ✓ %-50s %6.1f MB  built %.1f s, pushed %.1f s\n", ref, megabytes(made), built.Sub(start).Seconds(), time.Since(built).Seconds())
	return nil
}

func assemble(p plan, title, version, arch string) (v1.Image, error) {
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.AppendLayers(base, p.layers...)
	if err != nil {
		return nil, fmt.Errorf("append layers: %w", err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read image configuration: %w", err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Config = "linux", arch, p.config
	file.Config.Labels = map[string]string{
		"org.opencontainers.image.title":    title,
		"org.opencontainers.image.version":  version,
		"org.opencontainers.image.licenses": "Apache-2.0",
		"org.opencontainers.image.source":   "https://github.com/coldtrace/coldtrace",
	}
	if img, err = mutate.ConfigFile(img, file); err != nil {
		return nil, fmt.Errorf("configure image: %w", err)
	}
	return img, nil
}

// upload pushes one image as itself and several as an index.
func upload(ctx context.Context, ref name.Tag, made []v1.Image, arches []string) error {
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	if len(made) == 1 {
		return remote.Write(ref, made[0], options...) //nolint:wrapcheck // the caller says what was pushed where
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for i, img := range made {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arches[i]}},
		})
	}
	return remote.WriteIndex(ref, index, options...) //nolint:wrapcheck // the caller says what was pushed where
}

func megabytes(made []v1.Image) float64 {
	var sum int64
	for _, img := range made {
		layers, err := img.Layers()
		if err != nil {
			continue // only the progress line lacks them
		}
		for _, l := range layers {
			if size, err := l.Size(); err == nil {
				sum += size
			}
		}
	}
	return float64(sum) / 1e6
}
