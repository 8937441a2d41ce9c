// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Parse reads a policy file over the defaults. Unknown fields, wrong types and bad values are errors; each names its
// line. An empty file is the default policy.
func Parse(data []byte) (*Policy, error) {
	policy := Default()
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		return nil, fmt.Errorf("parse policy: %s", plainly(err))
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(policy); err != nil && !errors.Is(err, io.EOF) {
		said := misfits(&root, "", reflect.TypeFor[Policy]())
		if len(said) == 0 { // it is none of a field, as a key that is there twice
			said = []string{plainly(err)}
		}
		return nil, fmt.Errorf("parse policy: %s", strings.Join(said, "; "))
	}
	if err := dec.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, errors.New("parse policy: more than one YAML document")
	}
	settings := Settings{Policy: *policy}
	var problems []error
	for _, t := range Table {
		if t.Field == "" {
			continue
		}
		if err := t.check(&settings); err != nil {
			where := ""
			if line := lineOf(&root, t.Field); line > 0 {
				where = fmt.Sprintf("line %d: ", line)
			}
			problems = append(problems, fmt.Errorf("%s%s: %w", where, t.Field, err))
		}
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("parse policy: %w", errors.Join(problems...))
	}
	return &settings.Policy, nil
}

// gosWords are what the parser says where a value does not fit, or a field is not known.
var gosWords = regexp.MustCompile("cannot unmarshal !!(\\w+)(?: `.*?`)? into ([^\\s;]+)|field (\\S+) not found in type [^\\s;]+")

// called are what people call what YAML tags, and what belongs there by the beginning of Go's type; the first that fits.
var called = []struct{ begin, words string }{
	{"[]", "a list"}, {"seq", "a list"}, {"map", "an object"}, {"time.Duration", "a duration such as 30m"}, {"bool", "true or false"}, {"int", "a number"},
	{"float", "a number"}, {"null", "nothing"}, {"config.Policy", "an object"}, {"config.OTLP", "an object"}, {"config.Selection", "an object"},
	{"config.Features", "an object"}, {"config.Wrapper", "an object"}, {"config.RequestSampling", "an object"}, {"", "a text"},
}

// plainly says what is wrong in the words of whoever wrote the file: "line 2: a text, where a number belongs".
func plainly(err error) string {
	call := func(what string) string {
		at := slices.IndexFunc(called, func(c struct{ begin, words string }) bool { return strings.HasPrefix(what, c.begin) })
		return called[at].words
	}
	text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "yaml: "), "unmarshal errors:\n  ")
	return gosWords.ReplaceAllStringFunc(strings.ReplaceAll(text, "\n  ", "; "), func(said string) string {
		m := gosWords.FindStringSubmatch(said)
		if m[3] != "" {
			return "there is no field " + m[3]
		}
		return call(m[1]) + ", where " + call(m[2]) + " belongs"
	})
}

// misfits says of each field that is not known, or whose value does not fit, so: the decoder's own errors do not name the field.
func misfits(node *yaml.Node, path string, of reflect.Type) (said []string) {
	switch {
	case node.Kind == yaml.DocumentNode:
		return misfits(node.Content[0], path, of)
	case node.Kind == yaml.AliasNode:
		return misfits(node.Alias, path, of)
	case node.Kind == yaml.SequenceNode && of.Kind() == reflect.Slice:
		for _, item := range node.Content {
			said = append(said, misfits(item, path, of.Elem())...)
		}
		return said
	case node.Kind == yaml.MappingNode && of.Kind() == reflect.Struct:
		for i := 0; i+1 < len(node.Content); i += 2 {
			key, value := node.Content[i], node.Content[i+1]
			field, known := fieldOf(of, key.Value)
			switch name := strings.TrimPrefix(path+"."+key.Value, "."); {
			case known:
				said = append(said, misfits(value, name, field)...)
			case key.Tag != "!!merge":
				said = append(said, fmt.Sprintf("line %d: there is no field %s", key.Line, name))
			}
		}
		return said
	}
	if err := node.Decode(reflect.New(of).Interface()); err != nil {
		text := plainly(err)
		if path != "" {
			text = strings.Replace(text, ": ", ": "+path+": ", 1) // behind the line
		}
		return []string{text}
	}
	return nil
}

// fieldOf is the type of what a struct calls so in YAML.
func fieldOf(of reflect.Type, name string) (reflect.Type, bool) {
	for i := range of.NumField() {
		if tag := of.Field(i).Tag.Get("yaml"); tag == name && tag != "-" {
			return of.Field(i).Type, true
		}
	}
	return nil, false
}

// lineOf is the line of the field at a dotted path such as "wrapper.delivery", 0 if it is not in the file.
func lineOf(root *yaml.Node, path string) int {
	node := root
	if node.Kind == yaml.DocumentNode && len(node.Content) > 0 {
		node = node.Content[0]
	}
	for name := range strings.SplitSeq(path, ".") {
		next := (*yaml.Node)(nil)
		for i := 0; node.Kind == yaml.MappingNode && i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == name {
				next = node.Content[i+1]
			}
		}
		if next == nil {
			return 0
		}
		node = next
	}
	return node.Line
}
