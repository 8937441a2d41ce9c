// SPDX-License-Identifier: Apache-2.0

// Package gpuname gives a GPU one short name, whoever names it: a node's label, an instance type, the driver.
//
// It imports nearly nothing: the wrapper asks it before the command starts.
package gpuname

import (
	"slices"
	"strings"
)

// names are the words that are a GPU's short name, sorted; some stand for another.
var names = [...]struct{ word, name string }{
	{"a10", ""}, {"a100", ""}, {"a100e", "a100"}, {"a100x", "a100"}, {"a10g", ""}, {"a16", ""}, {"a2", ""}, {"a30", ""}, {"a40", ""},
	{"a4000", ""}, {"a4500", ""}, {"a5000", ""}, {"a5500", ""}, {"a6000", ""}, {"a800", ""}, {"b100", ""}, {"b200", ""}, {"b300", ""},
	{"flex", ""}, {"gaudi", ""}, {"gaudi2", ""}, {"gaudi3", ""}, {"gb10", ""}, {"gb200", ""}, {"gb300", ""}, {"gh200", ""},
	{"h100", ""}, {"h20", ""}, {"h200", ""}, {"h800", ""}, {"inferentia", ""}, {"inferentia2", ""}, {"k80", ""},
	{"l2", ""}, {"l20", ""}, {"l4", ""}, {"l40", ""}, {"l40s", ""}, {"m60", ""},
	{"mi100", ""}, {"mi210", ""}, {"mi25", ""}, {"mi250", ""}, {"mi250x", ""}, {"mi300a", ""}, {"mi300x", ""}, {"mi308x", ""},
	{"mi325x", ""}, {"mi350x", ""}, {"mi355x", ""}, {"mi50", ""}, {"mi60", ""}, {"p100", ""}, {"p4", ""}, {"p40", ""}, {"pvc", ""},
	{"r100", ""}, {"t4", ""}, {"t4g", ""}, {"tpu7x", ""}, {"trainium", ""}, {"trainium2", ""}, {"trainium3", ""},
	{"v100", ""}, {"v100s", "v100"}, {"v520", ""}, {"v710", ""}, {"vr200", ""},
}

// phrases are names of more than one word.
var phrases = [...]struct{ phrase, name string }{
	{"data-center-gpu-max", "max"}, {"tpu-v4", "tpu-v4"}, {"tpu-v5p", "tpu-v5p"}, {"tpu-v5-lite", "tpu-v5e"}, {"tpu-v6e", "tpu-v6e"},
}

// Find is the short name of the GPU that a text names: h100 in nvidia-hopper-h100-1g20gb, rtx6000ada in
// NVIDIA-RTX-6000-Ada-Generation. Empty if it names none that is known: the text may be about anything.
func Find(text string) string {
	words := split(text)
	if name := rtx(words); name != "" {
		return name
	}
	if joined := strings.Join(words, "-"); len(words) > 1 {
		for _, p := range phrases {
			if strings.Contains(joined, p.phrase) {
				return p.name
			}
		}
	}
	for _, w := range words {
		i, ok := slices.BinarySearchFunc(names[:], w, func(n struct{ word, name string }, w string) int { return strings.Compare(n.word, w) })
		switch {
		case !ok:
		case names[i].name != "":
			return names[i].name
		default:
			return w
		}
	}
	return ""
}

// Product is the short name in a text that is a product's name for certain, such as the driver's, with whatever between its
// words. One that is not known is called by the word that looks like it: letters, digits, at most one letter more.
func Product(text string) string {
	if name := Find(text); name != "" {
		return name
	}
	for _, w := range split(text) {
		if isModel(w) {
			return w
		}
	}
	return ""
}

func split(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
}

// rtx reads NVIDIA's workstation cards, whose names have several words: RTX PRO 6000, RTX 4000 SFF Ada, GeForce RTX 4090.
func rtx(words []string) string {
	i := slices.Index(words, "rtx") + 1
	if i == 0 {
		return ""
	}
	name := "rtx"
	if i < len(words) && words[i] == "pro" {
		name += "pro"
		i++
	}
	if i == len(words) || len(words[i]) < 3 || strings.Trim(words[i], "0123456789") != "" {
		return ""
	}
	name += words[i]
	if slices.Contains(words[i+1:], "ada") {
		name += "ada"
	}
	return name
}

// isModel tells h100 and a10g from sxm4, 80gb and hbm3.
func isModel(w string) bool {
	digits := strings.TrimLeft(w, "abcdefghijklmnopqrstuvwxyz")
	letters := len(w) - len(digits)
	more := strings.TrimLeft(digits, "0123456789")
	n := len(digits) - len(more)
	return letters >= 1 && letters <= 2 && n >= 1 && n <= 4 && len(more) <= 1
}
