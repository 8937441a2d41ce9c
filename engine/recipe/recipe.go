// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"bytes"
	"embed"
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	engines "github.com/coldtrace/coldtrace/engine"
	"github.com/coldtrace/coldtrace/startup"
)

//go:embed recipes/*.yaml
var embedded embed.FS

// Recipe is what is known of one model server.
type Recipe struct {
	name        string
	id          string // its file's name: batch programs share the name of their engine
	sources     string // versions of the engine in whose sources the texts were looked up
	serveMarker mark
	native      bool
	figures     map[string]aggregate
	rules       []rule

	prepare sync.Once // compiles what follows, for the one recipe of many that is used
	literal *literals
}

// Name is the engine's: vllm, sglang, tgi, tensorrt_llm, lightllm, lmdeploy, llama_cpp.
func (r *Recipe) Name() string { return r.name }

// Init is the name of the engine's init span.
func (r *Recipe) Init() string { return r.name + startup.InitSuffix }

// Engine is what the engine is called at admission, too: nim and triton have their recipes from what they run.
func (r *Recipe) Engine() string { return engines.ByName(r.id).Called() }

// Serves is false for batch programs: they are ready when their engine is.
func (r *Recipe) Serves() bool { return engines.ByName(r.id).Serves() }

// ReadyByLog says that there is no HTTP to ask: the server's own word is as good as what gRPC may tell.
func (r *Recipe) ReadyByLog() bool { return engines.ByName(r.id).Address.Scheme == "grpc" }

// file is the YAML form of a recipe; recipes/README.md explains each field.
type file struct {
	Name        string               `yaml:"name"`
	Like        string               `yaml:"like"` // takes the rules and figures of that recipe
	Sources     string               `yaml:"sources"`
	Include     []string             `yaml:"include"`
	ServeMarker mark                 `yaml:"serve_marker"`
	Native      bool                 `yaml:"native"` // it is no Python program
	Figures     map[string]aggregate `yaml:"figures"`
	Lines       []rule               `yaml:"lines"`
}

// recipes are all, in the order of their files' names.
var recipes = sync.OnceValue(func() []*Recipe {
	list, err := load()
	if err != nil {
		panic(err) // the data is part of the program and read by its tests
	}
	return list
})

func names() (all []string) {
	for _, r := range recipes() {
		all = append(all, r.id)
	}
	return all
}

// Engines are what the engines are called whose logs are read; each is a recipe's name, too. Nothing is parsed for it.
var Engines = sync.OnceValue(func() (called []string) {
	entries, _ := embedded.ReadDir("recipes") // part of the program
	for _, entry := range entries {
		e := engines.ByName(strings.TrimSuffix(entry.Name(), ".yaml"))
		if e != nil && !slices.Contains(called, e.Called()) { // nil: shared lines
			called = append(called, e.Called())
		}
	}
	slices.Sort(called)
	return called
})

// ByName is the recipe of that engine, nil if there is none. "batch" is vLLM's without a server.
func ByName(name string) *Recipe {
	for _, r := range recipes() {
		if r.id == name {
			return r
		}
	}
	return nil
}

// Match is the recipe of the engine that argv starts, nil if there is none.
func Match(argv []string) *Recipe {
	if e, _ := engines.Match(argv); e != nil {
		return ByName(e.Name)
	}
	return nil
}

func load() ([]*Recipe, error) {
	files := map[string]file{}
	entries, err := embedded.ReadDir("recipes")
	if err != nil {
		return nil, fmt.Errorf("list recipes: %w", err)
	}
	for _, e := range entries {
		f, err := read(path.Join("recipes", e.Name()))
		if err != nil {
			return nil, err
		}
		files[strings.TrimSuffix(e.Name(), ".yaml")] = f
	}
	var out []*Recipe
	for id, f := range files {
		if f.Name == "" {
			continue // shared lines
		}
		r := &Recipe{
			name: f.Name, id: id, sources: f.Sources, serveMarker: f.ServeMarker, native: f.Native, figures: f.Figures, rules: f.Lines,
		}
		if f.Like != "" {
			r.rules, r.figures = files[f.Like].Lines, files[f.Like].Figures
			f.Include = files[f.Like].Include
		}
		r.rules = slices.Clone(r.rules) // of which another recipe may have a part
		for _, shared := range f.Include {
			for _, line := range files[shared].Lines {
				line.shared = true
				r.rules = append(r.rules, line)
			}
		}
		out = append(out, r)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].id < out[j].id })
	return out, nil
}

func read(name string) (file, error) {
	var f file
	raw, err := embedded.ReadFile(name)
	if err != nil {
		return f, fmt.Errorf("read recipe: %w", err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil {
		return f, fmt.Errorf("parse recipe %s: %w", name, err)
	}
	for i := range f.Lines {
		f.Lines[i].prepare()
	}
	return f, nil
}
