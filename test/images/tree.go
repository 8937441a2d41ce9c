// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Tree is what a layer adds to a file system, by path without the leading slash. Folders above a file come by themselves.
type Tree map[string]entry

type entry struct {
	mode   int64
	text   string // content of a small file
	source string // file on this machine to copy
	link   string // target, if this is a symbolic link
	folder bool
}

// Add copies a file of this machine, executable by all.
func (t Tree) Add(name, source string) { t[name] = entry{mode: 0o755, source: source} }

// Text makes a small file, readable by all.
func (t Tree) Text(name, text string) { t[name] = entry{mode: 0o644, text: text} }

// Link makes a symbolic link.
func (t Tree) Link(name, target string) { t[name] = entry{mode: 0o777, link: target} }

// Folder makes a folder with the mode.
func (t Tree) Folder(name string, mode int64) { t[name] = entry{mode: mode, folder: true} }

// Layer packs the tree. The same content always gives the same digest: the entries are sorted, owned by root and from 1970.
func (t Tree) Layer() (v1.Layer, error) {
	var packed bytes.Buffer
	if err := t.write(tar.NewWriter(&packed)); err != nil {
		return nil, err
	}
	// Most of it goes to a registry on this machine: fast beats small.
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil },
		tarball.WithCompressionLevel(gzip.BestSpeed), tarball.WithCompressedCaching, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, fmt.Errorf("compress layer: %w", err)
	}
	return layer, nil
}

func pack(trees ...Tree) ([]v1.Layer, error) {
	var layers []v1.Layer
	for _, tree := range trees {
		layer, err := tree.Layer()
		if err != nil {
			return nil, err
		}
		layers = append(layers, layer)
	}
	return layers, nil
}

func (t Tree) write(w *tar.Writer) error {
	all := t.withParents()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if err := all[name].write(w, name); err != nil {
			return fmt.Errorf("pack %s: %w", name, err)
		}
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("end layer: %w", err)
	}
	return nil
}

func (t Tree) withParents() Tree {
	all := maps.Clone(t)
	for name := range t {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if _, ok := all[dir]; !ok {
				all.Folder(dir, 0o755)
			}
		}
	}
	return all
}

func (e entry) write(w *tar.Writer, name string) error {
	header := &tar.Header{Name: name, Mode: e.mode, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
	var content io.Reader = strings.NewReader(e.text)
	switch {
	case e.folder:
		header.Typeflag, header.Name = tar.TypeDir, name+"/"
	case e.link != "":
		header.Typeflag, header.Linkname = tar.TypeSymlink, e.link
	case e.source != "":
		file, err := os.Open(e.source)
		if err != nil {
			return err
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			return err
		}
		header.Typeflag, header.Size, content = tar.TypeReg, info.Size(), file
	default:
		header.Typeflag, header.Size = tar.TypeReg, int64(len(e.text))
	}
	if err := w.WriteHeader(header); err != nil {
		return err
	}
	_, err := io.Copy(w, content)
	return err
}
