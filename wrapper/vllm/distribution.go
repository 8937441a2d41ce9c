// SPDX-License-Identifier: Apache-2.0

package vllm

import (
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// distribution is an installed one, by its metadata.
type distribution struct {
	folder   string // that its modules are in
	info     string // the folder of its metadata
	version  version
	requires []requirement
}

// installation is what an interpreter finds installed.
type installation struct {
	folders folders
	python  string              // python3.12
	infos   map[string][]string // of a normalised name: folders of metadata, in the order of import
	known   map[string]*distribution
}

// installed lists what there is; nil if a place of imports is not a folder (an archive) and so cannot be looked into.
func (f folders) installed(python string) *installation {
	in := &installation{folders: f, python: python, infos: map[string][]string{}, known: map[string]*distribution{}}
	for _, dir := range f {
		if info, err := os.Stat(dir); err == nil && !info.IsDir() {
			return nil
		}
		for _, entry := range entriesOf(dir, "", "-info") {
			stem, kind := strings.TrimSuffix(entry, path.Ext(entry)), path.Ext(entry)
			if kind != ".dist-info" && kind != ".egg-info" {
				continue
			}
			name, _, _ := strings.Cut(stem, "-")
			name = normalise(name)
			in.infos[name] = append(in.infos[name], path.Join(dir, entry))
		}
	}
	return in
}

// find is the distribution of a name that Python would find: the first. Two in one folder are what a broken update
// leaves: nobody knows which of them the modules are of. Nil: there is none, or it is not clear.
func (in *installation) find(name string) *distribution {
	if d, ok := in.known[name]; ok {
		return d
	}
	in.known[name] = nil
	infos := in.infos[name]
	if len(infos) == 0 || len(infos) > 1 && path.Dir(infos[0]) == path.Dir(infos[1]) {
		return nil
	}
	d := &distribution{folder: path.Dir(infos[0]), info: infos[0]}
	if d.read(name) {
		in.known[name] = d
	}
	return in.known[name]
}

// read takes what counts from the metadata: name, version, requirements.
func (d *distribution) read(name string) bool {
	text, err := os.ReadFile(path.Join(d.info, "METADATA"))
	if err != nil {
		if text, err = os.ReadFile(path.Join(d.info, "PKG-INFO")); err != nil { // setuptools' old form
			return false
		}
		if other, err := os.ReadFile(path.Join(d.info, "requires.txt")); err == nil && len(other) > 0 && !strings.Contains(string(text), "\nRequires-Dist:") {
			return false // a third syntax
		}
	}
	named, ok := false, false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			break // the description follows
		}
		key, value, _ := strings.Cut(line, ":")
		switch value = strings.TrimSpace(value); strings.ToLower(key) {
		case "name":
			named = normalise(value) == name
		case "version":
			d.version, ok = parseVersion(value)
		case "requires-dist":
			d.requires = append(d.requires, parseRequirement(value))
		}
	}
	return named && ok
}

// whole tells whether the files that were installed are still there, and are those: a mixture of two versions is what an
// update leaves that was broken off or went over another. Without a record of them nothing speaks against it.
func (d *distribution) whole() bool {
	record, err := os.ReadFile(path.Join(d.info, "RECORD"))
	if err != nil {
		return os.IsNotExist(err)
	}
	for line := range strings.Lines(string(record)) {
		fields := strings.Split(strings.TrimSpace(line), ",")
		name := fields[0]
		python := strings.HasSuffix(name, ".py")
		if len(fields) != 3 || !python && !strings.HasSuffix(name, ".so") || strings.HasPrefix(name, ".") || strings.Contains(name, "/test") {
			continue // not a module, or one that images are made smaller by
		}
		info, err := os.Stat(path.Join(d.folder, name))
		if err != nil {
			return false
		}
		if size, err := strconv.ParseInt(fields[2], 10, 64); err == nil && python && info.Size() != size {
			return false
		}
	}
	return true
}

// agrees tells whether requirements are met, and those of what meets them, and so on.
func (in *installation) agrees(requirements []requirement) bool {
	type visit struct{ name, extras string }
	seen := map[visit]bool{}
	for len(requirements) > 0 {
		r := requirements[0]
		requirements = requirements[1:]
		d := in.find(r.name)
		if d == nil || !d.version.satisfies(r.versions) {
			return false
		}
		v := visit{r.name, strings.Join(r.extras, ",")}
		if seen[v] {
			continue
		}
		seen[v] = true
		if !d.whole() {
			return false
		}
		for _, next := range d.requires {
			if next.applies(in.python, r.extras) {
				requirements = append(requirements, next)
			}
		}
	}
	return true
}

// provides tells whether a distribution is where a module would be imported from.
func (in *installation) provides(name, module string) bool {
	d := in.find(name)
	i := slices.IndexFunc(in.folders, func(dir string) bool { return folders{dir}.has(module) })
	return d != nil && i >= 0 && in.folders[i] == d.folder
}
