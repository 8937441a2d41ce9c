// SPDX-License-Identifier: Apache-2.0

package vllm

import (
	"bufio"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/coldtrace/coldtrace/startup"
)

// folders are the places an interpreter imports from.
type folders []string

// has tells whether a module can be imported: a file, or a folder with something in it that is Python.
func (f folders) has(module string) bool {
	rel := strings.ReplaceAll(module, ".", "/")
	for _, dir := range f {
		module := path.Join(dir, rel)
		if _, err := os.Stat(module + ".py"); err == nil {
			return true
		}
		entries, err := os.ReadDir(module)
		if err != nil {
			continue
		}
		for _, e := range entries { // not the __pycache__ that uninstalling left
			if strings.HasSuffix(e.Name(), ".py") || strings.HasSuffix(e.Name(), ".so") || strings.HasSuffix(e.Name(), ".pyi") {
				return true
			}
			if e.IsDir() && e.Name() != "__pycache__" && e.Name()[0] != '.' {
				return true
			}
		}
	}
	return false
}

// importFolders are where the interpreter that a command names would look, in its order, and that interpreter's name,
// python3.12; nil if that is not clear.
func importFolders(interpreter string, env environment) (out folders, python string) {
	file := which(env, interpreter)
	if file == "" || env.Get("PYTHONHOME") != "" {
		return nil, ""
	}
	out = append(out, filepath.SplitList(env.Get("PYTHONPATH"))...)
	prefix := path.Dir(path.Dir(file))
	if home, system, ok := virtual(prefix); ok {
		v := versionOf(file, prefix)
		if v == "" {
			return nil, ""
		}
		out = append(out, path.Join(prefix, "lib", v, "site-packages"))
		if !system {
			return out, v
		}
		file, prefix = path.Join(home, path.Base(file)), path.Dir(home)
	} else if target := resolve(file); isPython(path.Base(target)) {
		// Python finds its prefix from its real file.
		file, prefix = target, path.Dir(path.Dir(target))
	}
	v := versionOf(file, prefix)
	if v == "" {
		return nil, ""
	}
	if home := env.Get("HOME"); home != "" && env.Get("PYTHONNOUSERSITE") == "" {
		out = append(out, path.Join(home, ".local/lib", v, "site-packages"))
	}
	for _, dir := range []string{
		"/local/lib/" + v + "/dist-packages", // Debian's, for what pip installs
		"/lib/" + v + "/site-packages", "/lib64/" + v + "/site-packages", "/lib/" + v + "/dist-packages", "/lib/python3/dist-packages",
	} {
		out = append(out, path.Join(prefix, dir))
	}
	return out, v
}

// isPython tells python3.12 from python and from what it may be a link to.
func isPython(name string) bool {
	minor, ok := strings.CutPrefix(name, "python3.")
	return ok && minor != "" && strings.Trim(minor, "0123456789") == ""
}

// versionOf names the folder of an interpreter's libraries, python3.12: by its own name, else by the only one there is.
func versionOf(file, prefix string) string {
	if name := path.Base(resolve(file)); isPython(name) {
		return name
	}
	var found []string
	for _, lib := range []string{"lib", "local/lib"} {
		for _, name := range entriesOf(path.Join(prefix, lib), "python3.", "") {
			if isPython(name) && !slices.Contains(found, name) {
				found = append(found, name)
			}
		}
	}
	if len(found) != 1 {
		return ""
	}
	return found[0]
}

// virtual reads a virtual environment's configuration.
func virtual(prefix string) (home string, system, ok bool) {
	f, err := os.Open(path.Join(prefix, "pyvenv.cfg"))
	if err != nil {
		return "", false, false
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		key, value, _ := strings.Cut(s.Text(), "=")
		switch strings.TrimSpace(key) {
		case "home":
			home = strings.TrimSpace(value)
		case "include-system-site-packages":
			system = strings.TrimSpace(value) == "true"
		}
	}
	return home, system, true
}

// shebang is the interpreter that a script's first line names.
func shebang(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	line, _ := bufio.NewReaderSize(f, 512).ReadSlice('\n') // a line without an end is none
	rest, ok := strings.CutPrefix(string(line), "#!")
	if !ok {
		return ""
	}
	words := strings.Fields(rest)
	switch {
	case len(words) == 0:
		return ""
	case path.Base(words[0]) == "env" && len(words) == 2:
		return words[1]
	case strings.HasPrefix(path.Base(words[0]), "python"):
		return words[0]
	}
	return ""
}

// environment is the command's.
type environment = startup.Environ

// which finds a program as the shell does.
func which(e environment, name string) string {
	if name == "" {
		return ""
	}
	if strings.Contains(name, "/") {
		return absolute(name)
	}
	for _, dir := range filepath.SplitList(e.Get("PATH")) {
		file := path.Join(dir, name)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return absolute(file)
		}
	}
	return ""
}

// entriesOf are the names in a folder with a beginning and an end.
func entriesOf(dir, prefix, suffix string) (out []string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // nobody promised that it is there
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) && strings.HasSuffix(e.Name(), suffix) {
			out = append(out, e.Name())
		}
	}
	return out
}

// resolve follows the links that a file's name is.
func resolve(file string) string {
	for range 40 {
		link, err := os.Readlink(file)
		if err != nil {
			return file
		}
		if !path.IsAbs(link) {
			link = path.Join(path.Dir(file), link)
		}
		file = link
	}
	return file
}

// absolute is empty where the working directory is not known.
func absolute(file string) string {
	abs, _ := filepath.Abs(file) // see above
	return abs
}
