// SPDX-License-Identifier: Apache-2.0

package vllm

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// version is one as PEP 440 reads it, in the parts that its order is made of.
type version struct {
	epoch   int
	release []int
	pre     [2]int // kind (a, b, rc) and number; see the constants for what is none
	post    int    // -1: none
	dev     int    // none: after every one
	local   string
}

// Kinds of pre-release, in their order: 1.0.dev1 < 1.0a1 < 1.0b1 < 1.0rc1 < 1.0.
const (
	preDev = iota - 1 // a development release of the release itself
	preAlpha
	preBeta
	preCandidate
	preNone
)

const noDev = int(^uint(0) >> 1)

// preKinds are the spellings that PEP 440 allows, longest first.
var preKinds = []struct {
	name string
	kind int
}{{"preview", preCandidate}, {"alpha", preAlpha}, {"beta", preBeta}, {"pre", preCandidate}, {"rc", preCandidate}, {"a", preAlpha}, {"b", preBeta}, {"c", preCandidate}}

// parseVersion reads 1!2.0.3rc1.post2.dev3+cu129, and what is spelt like it.
func parseVersion(s string) (v version, ok bool) {
	s = strings.TrimPrefix(strings.ToLower(strings.TrimSpace(s)), "v")
	s, v.local, _ = strings.Cut(s, "+")
	v.local = strings.NewReplacer("-", ".", "_", ".").Replace(v.local)
	if epoch, rest, found := strings.Cut(s, "!"); found {
		n, err := strconv.Atoi(epoch)
		if err != nil || n < 0 {
			return version{}, false
		}
		v.epoch, s = n, rest
	}
	v.pre, v.post, v.dev = [2]int{preNone, 0}, -1, noDev
	for {
		n, rest, found := leadingNumber(s)
		if !found {
			return version{}, false
		}
		v.release, s = append(v.release, n), rest
		if len(s) < 2 || s[0] != '.' || s[1] < '0' || s[1] > '9' {
			break
		}
		s = s[1:]
	}
	for _, k := range preKinds {
		if n, rest, found := tagged(s, k.name); found {
			v.pre, s = [2]int{k.kind, n}, rest
			break
		}
	}
	if n, rest, found := leadingNumber(strings.TrimPrefix(s, "-")); found && strings.HasPrefix(s, "-") { // 1.0-1 is 1.0.post1
		v.post, s = n, rest
	}
	for _, name := range []string{"post", "rev", "r"} {
		if n, rest, found := tagged(s, name); found && v.post < 0 {
			v.post, s = n, rest
		}
	}
	if n, rest, found := tagged(s, "dev"); found {
		v.dev, s = n, rest
		if v.pre[0] == preNone && v.post < 0 {
			v.pre[0] = preDev
		}
	}
	return v, s == ""
}

// tagged reads a named part with its number: .post2, -rc-1, dev.
func tagged(s, name string) (n int, rest string, ok bool) {
	rest, ok = strings.CutPrefix(strings.TrimLeft(s, ".-_"), name)
	if !ok {
		return 0, s, false
	}
	if n, after, found := leadingNumber(strings.TrimLeft(rest, ".-_")); found {
		return n, after, true
	}
	return 0, rest, true
}

func leadingNumber(s string) (n int, rest string, ok bool) {
	end := len(s) - len(strings.TrimLeft(s, "0123456789"))
	n, err := strconv.Atoi(s[:end])
	return n, s[end:], err == nil
}

// compare is PEP 440's order, without local parts.
func (v version) compare(o version) int {
	return cmp.Or(cmp.Compare(v.epoch, o.epoch), compareRelease(v.release, o.release), slices.Compare(v.pre[:], o.pre[:]),
		cmp.Compare(v.post, o.post), cmp.Compare(v.dev, o.dev))
}

// compareRelease takes 1.0 and 1.0.0 for the same.
func compareRelease(a, b []int) int {
	for i := range max(len(a), len(b)) {
		if c := cmp.Compare(part(a, i), part(b, i)); c != 0 {
			return c
		}
	}
	return 0
}

func part(release []int, i int) int {
	if i < len(release) {
		return release[i]
	}
	return 0
}

func (v version) prerelease() bool { return v.pre[0] != preNone || v.dev != noDev }

// since tells whether the version is the release 0.minor.patch or later; what came before it is not.
func (v version) since(minor, patch int) bool {
	return v.compare(version{release: []int{0, minor, patch}, pre: [2]int{preNone, 0}, post: -1, dev: noDev}) >= 0
}

// satisfies tells whether a version is in a set such as ">=1.27,<2" or "==1.26.*,!=1.26.3". What cannot be read is not
// satisfied. Pre-releases count like any other: what is installed is not to be chosen.
func (v version) satisfies(specifiers string) bool {
	for spec := range strings.SplitSeq(specifiers, ",") {
		if spec = strings.TrimSpace(spec); spec != "" && !v.meets(spec) {
			return false
		}
	}
	return true
}

func (v version) meets(spec string) bool {
	end := len(spec) - len(strings.TrimLeft(spec, "=<>!~"))
	op, text := spec[:end], strings.TrimSpace(spec[end:])
	prefix, wild := strings.CutSuffix(text, ".*")
	want, ok := parseVersion(prefix)
	if !ok || wild && op != "==" && op != "!=" {
		return false
	}
	order := v.compare(want)
	equal := order == 0 && (want.local == "" || want.local == v.local)
	if wild {
		equal = v.epoch == want.epoch && compareRelease(truncated(v.release, len(want.release)), want.release) == 0
	}
	switch op {
	case "==":
		return equal
	case "===":
		return equal && v.local == want.local
	case "!=":
		return !equal
	case ">=":
		return order >= 0
	case "<=":
		return order <= 0
	case ">": // not a post-release or a local build of the one named
		return order > 0 && (want.post >= 0 || v.post < 0 || compareRelease(v.release, want.release) != 0)
	case "<": // not a pre-release of the one named
		return order < 0 && (want.prerelease() || !v.prerelease() || compareRelease(v.release, want.release) != 0)
	case "~=":
		n := len(want.release) - 1
		return n > 0 && order >= 0 && v.epoch == want.epoch && compareRelease(truncated(v.release, n), want.release[:n]) == 0
	}
	return false
}

// truncated are the first n numbers of a release.
func truncated(release []int, n int) []int {
	out := make([]int, n)
	copy(out, release)
	return out
}
