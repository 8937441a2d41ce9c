// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// arity is how many words an option takes.
type arity int

const (
	none  arity = iota // --flag
	one                // --flag VALUE or --flag=VALUE
	some               // --flag VALUE …, up to the next option
	maybe              // --flag [VALUE]
)

// option is one that a server knows.
type option struct {
	takes   arity
	number  bool // its value must be an integer
	since   string
	until   string // first version without it
	choices []string
}

// parser does what Python's argparse does with the options of a server: unknown ones, missing and malformed values end
// the program with usage on stderr and status 2; unambiguous prefixes are accepted.
type parser struct {
	program     string
	options     map[string]option // with dashes
	short       map[string]string // -tp -> --tensor-parallel-size
	positionals int
	underscores bool // --served_model_name is --served-model-name
	version     string
}

// arguments is what was given, by the option's full name; positionals under "".
type arguments map[string][]string

func (a arguments) get(name, otherwise string) string {
	if v := a[name]; len(v) > 0 {
		return v[0]
	}
	return otherwise
}

func (a arguments) has(name string) bool { _, ok := a[name]; return ok }

// usageError is why argparse refuses a command line.
type usageError string

func (e usageError) Error() string { return string(e) }

func (p parser) parse(args []string) (arguments, error) {
	out := arguments{}
	var unknown []string
	for i := 0; i < len(args); i++ {
		word := args[i]
		if word == "--" {
			out[""] = append(out[""], args[i+1:]...)
			break
		}
		if !isOption(word) {
			out[""] = append(out[""], word)
			continue
		}
		name, value, inline := strings.Cut(word, "=")
		full, err := p.resolve(name)
		if err != nil {
			return nil, err
		}
		if full == "" {
			unknown = append(unknown, word)
			if !inline && i+1 < len(args) && !isOption(args[i+1]) {
				i++ // argparse would call the value a positional; either way it is unrecognised
				unknown = append(unknown, args[i])
			}
			continue
		}
		var values []string
		if inline {
			values = []string{value}
		}
		opt := p.options[full]
		for opt.takes != none && !inline && i+1 < len(args) && !isOption(args[i+1]) && (opt.takes == some || len(values) == 0) {
			i++
			values = append(values, args[i])
		}
		if err := opt.check(full, values, inline); err != nil {
			return nil, err
		}
		out[full] = values
	}
	if extra := len(out[""]) - p.positionals; extra > 0 {
		unknown = append(unknown, out[""][p.positionals:]...)
	}
	if len(unknown) > 0 {
		return nil, usageError("unrecognized arguments: " + strings.Join(unknown, " "))
	}
	return out, nil
}

// isOption: a word that begins with a dash and is not a negative number.
func isOption(word string) bool {
	if len(word) < 2 || word[0] != '-' {
		return false
	}
	_, err := strconv.ParseFloat(word, 64)
	return err != nil
}

func (p parser) resolve(name string) (string, error) {
	if full, ok := p.short[name]; ok {
		return full, nil
	}
	if p.underscores && strings.HasPrefix(name, "--") {
		name = "--" + strings.ReplaceAll(name[2:], "_", "-")
	}
	if p.known(name) {
		return name, nil
	}
	var like []string
	for full := range p.options {
		if len(name) > 2 && strings.HasPrefix(full, name) && p.known(full) {
			like = append(like, full)
		}
	}
	slices.Sort(like)
	if len(like) > 1 {
		return "", usageError(fmt.Sprintf("ambiguous option: %s could match %s", name, strings.Join(like, ", ")))
	}
	return strings.Join(like, ""), nil
}

func (p parser) known(name string) bool {
	opt, ok := p.options[name]
	return ok && (opt.since == "" || !older(p.version, opt.since)) && (opt.until == "" || older(p.version, opt.until))
}

func (o option) check(name string, values []string, inline bool) error {
	switch {
	case o.takes == none && inline:
		return usageError(fmt.Sprintf("argument %s: ignored explicit argument '%s'", name, values[0]))
	case o.takes == one && len(values) == 0:
		return usageError(fmt.Sprintf("argument %s: expected one argument", name))
	case o.takes == some && len(values) == 0:
		return usageError(fmt.Sprintf("argument %s: expected at least one argument", name))
	}
	for _, v := range values {
		if _, err := strconv.Atoi(v); o.number && err != nil {
			return usageError(fmt.Sprintf("argument %s: invalid int value: '%s'", name, v))
		}
		if o.choices != nil && !slices.Contains(o.choices, v) {
			return usageError(fmt.Sprintf("argument %s: invalid choice: '%s' (choose from '%s')", name, v, strings.Join(o.choices, "', '")))
		}
	}
	return nil
}

// complain prints what argparse prints.
func (p parser) complain(w io.Writer, err error) {
	fmt.Fprintf(w, "usage: %s [-h]", p.program)
	names := make([]string, 0, len(p.options))
	for name := range p.options {
		if p.known(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(w, " [%s]", name)
	}
	fmt.Fprintf(w, "\n%s: error: %s\n", p.program, err)
}

// older compares dotted versions by their leading numbers.
func older(a, b string) bool {
	for a != "" || b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		if n, m := leading(x), leading(y); n != m {
			return n < m
		}
	}
	return false
}

func leading(s string) int {
	end := 0
	for end < len(s) && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(s[:end])
	if err != nil {
		return 0
	}
	return n
}
