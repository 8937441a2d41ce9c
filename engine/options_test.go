// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// parsers are the options of engines' own parsers by engine and version, each with how many values it takes: none, one,
// maybe (one or none) or some.
func parsers(t *testing.T) map[string]map[string]map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/options/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no lists", err)
	}
	all := map[string]map[string]map[string]string{}
	for _, file := range files {
		name, version, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".txt"), "@")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		options, takes := map[string]string{}, ""
		for line := range strings.Lines(string(text)) {
			for word := range strings.FieldsSeq(line) {
				switch {
				case strings.HasPrefix(line, "#"):
				case strings.HasSuffix(word, ":"):
					takes = strings.TrimSuffix(word, ":")
				default:
					options[word] = takes
				}
			}
		}
		if all[name] == nil {
			all[name] = map[string]map[string]string{}
		}
		all[name][version] = options
	}
	return all
}

// argparse are the engines whose parser knows unambiguous beginnings of options.
var argparse = []string{"vllm", "sglang", "lmdeploy", "lightllm", "huggingfaceserver"}

func TestTheTableIsWhatTheEnginesOwnParsersKnow(t *testing.T) {
	for name, versions := range parsers(t) {
		e := ByName(name)
		if e == nil {
			t.Fatalf("no engine %s", name)
		}
		for i := range e.Settings {
			s := &e.Settings[i]
			for _, option := range []string{s.Option, s.Short} {
				known := ""
				for _, options := range versions {
					known = cmp.Or(known, options[option], options["--"+strings.ReplaceAll(strings.TrimPrefix(option, "--"), "-", "_")])
				}
				if gone := option == "--grpc"; option != "" && !gone && (known == "" || s.Bare != (known == "none")) {
					t.Errorf("%s %s takes a value: %v, by its own parser: %q", name, option, !s.Bare, known)
				}
			}
		}
		for version, options := range versions {
			t.Run(name+" "+version, func(t *testing.T) { against(t, e, options) })
		}
	}
}

// against holds what is made of words against what an engine's parser makes of them.
func against(t *testing.T, e *Engine, options map[string]string) {
	t.Helper()
	dashes := func(s string) string { return strings.ReplaceAll(s, "_", "-") }
	base := e.Addresses(nil, Surroundings{})
	matters := func(option string) bool {
		return slices.ContainsFunc(e.Settings, func(s Setting) bool { return option == s.Short || dashes(option) == s.Option })
	}
	for option := range options {
		if matters(option) {
			continue
		}
		for _, args := range [][]string{{option, "7777"}, {option + "=7777"}, {option}} {
			if got := e.Addresses(args, Surroundings{}); !slices.Equal(got, base) {
				t.Errorf("%q moves the server to %v", args, got)
			}
		}
	}
	if !slices.Contains(argparse, e.Name) {
		return
	}
	for option := range options {
		for end := len("--") + 1; end < len(option); end++ {
			begun, means := option[:end], []string{}
			for other := range options {
				if strings.HasPrefix(other, begun) {
					means = append(means, other)
				}
			}
			if _, exact := options[begun]; exact || len(means) != 1 || !strings.HasPrefix(option, "--") || option == configOption {
				continue
			}
			if s, _, _ := e.setting(begun); (s != nil) != matters(option) {
				t.Errorf("%s is %s to its parser, and here %v", begun, option, s)
			}
		}
	}
}
