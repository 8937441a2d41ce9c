// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"net"
	"slices"
	"strconv"
	"strings"
)

// Surroundings are what a command line is read in.
type Surroundings struct {
	Getenv   func(name string) string
	ReadFile func(path string) ([]byte, error) // of a file of options; nil: they cannot be read
}

// Addresses are where the server answers that these arguments start, most likely one. The arguments are those after its
// program or module, as it gets them. None: it serves nothing, listens where only it knows, or nobody here does.
//
// Words are matched as Python's argparse does it, which knows unambiguous beginnings of options; other parsers know less,
// and what they refuse never runs. vLLM's takes underscores for dashes. A word that is an option is one wherever it
// stands but after --, and any other word is of no interest here: so no list of all options is needed to tell whose value
// it is. Of two the last counts; options count more than their file, and that more than variables.
func (e *Engine) Addresses(args []string, in Surroundings) []Address {
	if !e.Serves() {
		return nil
	}
	a := e.Address
	if in.Getenv != nil {
		for _, s := range e.Settings {
			if v := in.Getenv(s.Env); s.Env != "" && v != "" {
				s.set(&a, v)
			}
		}
	}
	if file := e.configFile(args); file != "" && in.ReadFile != nil {
		text, err := in.ReadFile(file)
		if err != nil {
			return nil
		}
		e.apply(&a, optionsOf(string(text)))
	}
	e.apply(&a, args)
	switch {
	case a.Socket != "":
		a.Port = 0
	case a.Port == 0:
		return nil
	}
	out := []Address{a}
	if a.Socket == "" && a.Port == e.Address.Port {
		for _, p := range e.Ports {
			a.Port = p
			out = append(out, a)
		}
	}
	return out
}

// apply sets what options say, in their order.
func (e *Engine) apply(a *Address, args []string) {
	for i, word := range args {
		if word == "--" {
			return
		}
		s, value, joined := e.setting(word)
		switch {
		case s == nil || s.set == nil:
		case s.Bare:
			s.set(a, "true")
		case joined:
			s.set(a, value)
		case i+1 < len(args):
			s.set(a, args[i+1])
		}
	}
}

// setting finds the option that a word is, and the value that is part of the word.
func (e *Engine) setting(word string) (s *Setting, value string, joined bool) {
	if len(word) < 2 || word[0] != '-' {
		return nil, "", false
	}
	if word[1] != '-' {
		for i := range e.Settings {
			if s := &e.Settings[i]; s.Short != "" && strings.HasPrefix(word, s.Short) {
				value = word[len(s.Short):]
				return s, strings.TrimPrefix(value, "="), value != ""
			}
		}
		return nil, "", false
	}
	name, value, joined := strings.Cut(word, "=")
	name = strings.ReplaceAll(name, "_", "-")
	var found *Setting
	for i := range e.Settings {
		switch s := &e.Settings[i]; {
		case s.Option == name:
			return s, value, joined
		case len(name) > len("--") && strings.HasPrefix(s.Option, name) && s.Option != configOption:
			if found != nil && !sameEffect(found, s) {
				return nil, "", false // ambiguous: the engine refuses it
			}
			found = s
		}
	}
	return found, value, joined
}

// sameEffect tells the options of a certificate from others: either means TLS.
func sameEffect(a, b *Setting) bool {
	return strings.HasPrefix(a.Option, "--ssl") && strings.HasPrefix(b.Option, "--ssl")
}

// configFile is the file of options that the arguments name.
func (e *Engine) configFile(args []string) string {
	if !slices.ContainsFunc(e.Settings, func(s Setting) bool { return s.Option == configOption }) {
		return ""
	}
	if i := slices.Index(args, configOption); i >= 0 && i+1 < len(args) {
		return args[i+1]
	}
	return ""
}

// optionsOf are the options that a file of them in YAML stands for: a line for each, as far as they have one value. What is
// indented belongs to an option that is of no interest here.
func optionsOf(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(line, ":")
		if !ok || key == "" || strings.ContainsAny(key[:1], " \t#-") {
			continue
		}
		if value, _, _ = strings.Cut(value, " #"); strings.TrimSpace(value) == "" {
			continue
		}
		value = strings.Trim(strings.TrimSpace(value), `"'`)
		if value == "false" {
			continue
		}
		out = append(out, "--"+strings.Trim(strings.TrimSpace(key), `"'`)+"="+value)
	}
	return out
}

// What settings do. A value that makes no sense leaves nothing to be asked: the engine does not start with it.

// port takes a number as Python's int does: with spaces around it, a sign and underscores. 0 is any that is free, which
// only the server knows.
func port(a *Address, v string) {
	n, err := strconv.Atoi(strings.ReplaceAll(strings.TrimSpace(v), "_", ""))
	if err != nil || n < 0 || n >= 1<<16 {
		n = 0
	}
	a.Port = n
}

func socket(a *Address, v string) { a.Socket = v }

// socketAmongHosts is llama.cpp's: a host that ends so is a path.
func socketAmongHosts(a *Address, v string) {
	a.Socket = ""
	for host := range strings.SplitSeq(v, ",") {
		if !strings.HasSuffix(host, ".sock") {
			a.Socket = ""
			return
		}
		a.Socket = host
	}
}

func secure(a *Address, v string) {
	if v != "" {
		a.Scheme = strings.TrimSuffix(a.Scheme, "s") + "s"
	}
}

func overGRPC(a *Address, _ string) { a.Scheme, a.Path = "grpc", "" }

func prefix(a *Address, v string) { a.Path = strings.TrimSuffix(v, "/") + "/health" }

// allowed is Triton's: a server that has no HTTP is asked by gRPC only where a probe says at which port.
func allowed(a *Address, v string) {
	if v = strings.ToLower(v); v == "false" || v == "0" {
		a.Port = 0
	}
}

// hostAndPort is Ollama's: [SCHEME://]HOST[:PORT], any of which may be missing.
func hostAndPort(a *Address, v string) {
	scheme, rest, given := strings.Cut(strings.Trim(v, " \"'"), "://")
	if !given {
		scheme, rest = "", scheme
	}
	if n := ports[scheme]; n != 0 {
		a.Port = n
	}
	if scheme == "https" {
		a.Scheme = scheme
	}
	if _, p, err := net.SplitHostPort(strings.TrimRight(rest, "/")); err == nil {
		port(a, p)
	}
}
