// SPDX-License-Identifier: Apache-2.0

package vllm

import "testing"

func TestVersionsStandInTheirOrder(t *testing.T) {
	order := []string{
		"0.10", "1.dev0", "1.0.dev456", "1.0a1", "1.0a2.dev456", "1.0a12", "1.0b1.dev456", "1.0b2", "1.0b2.post345.dev456", "1.0b2.post345",
		"1.0rc1.dev456", "1.0rc1", "1.0", "1.0.post456.dev34", "1.0.post456", "1.0.15", "1.1.dev1", "1.10", "1!0.1",
	}
	for i, a := range order {
		for j, b := range order {
			v, ok := parseVersion(a)
			w, ok2 := parseVersion(b)
			if !ok || !ok2 {
				t.Fatalf("%s, %s: not read", a, b)
			}
			if got, want := v.compare(w), (i > j && i != j); (got > 0) != want || (got == 0) != (i == j) {
				t.Errorf("%s against %s is %d", a, b, got)
			}
		}
	}
}

func TestSpellingsOfOneVersion(t *testing.T) {
	for a, b := range map[string]string{
		"v1.0": "1.0.0", "1.0-1": "1.0.post1", "1.0.rev2": "1.0-r2", "1.0.ALPHA.1": "1.0a1", "1.0-preview_3": "1.0rc3", "1.0c1": "1.0rc1", "1.0dev": "1.0.dev0",
		"1.0+cu_12": "1.0+cu.12", "0.59b0": "0.59.beta",
	} {
		v, ok := parseVersion(a)
		w, ok2 := parseVersion(b)
		if !ok || !ok2 || v.compare(w) != 0 || v.local != w.local {
			t.Errorf("%s is not %s: %+v %+v", a, b, v, w)
		}
	}
	for _, bad := range []string{"", "x", "1..2", "1.0foo", "1.0a1b2c3", "!1", "1.0 1", "unknown"} {
		if v, ok := parseVersion(bad); ok {
			t.Errorf("%q was read as %+v", bad, v)
		}
	}
}

func TestSpecifiers(t *testing.T) {
	for spec, versions := range map[string]map[string]bool{
		"":                  {"1": true},
		">=1.27":            {"1.27.0": true, "1.26.9": false, "1.27rc1": false, "2": true},
		"~=1.45.0":          {"1.45.2": true, "1.46.0": false, "1.26.0": false, "1.45.0rc1": false},
		"~=1.15":            {"1.15": true, "1.40": true, "2.0": false},
		"~=1":               {"1.0": false},
		"==1.26.*":          {"1.26": true, "1.26.3": true, "1.27": false, "1.26rc1": true},
		"!=1.26.*":          {"1.26.3": false, "1.27": true},
		"==0.47b0":          {"0.47b0": true, "0.47": false, "0.47b1": false},
		"==1.0":             {"1.0.0": true, "1.0+cu12": true, "1.0.post1": false},
		"==1.0+cu12":        {"1.0+cu12": true, "1.0": false, "1.0+cu13": false},
		"===1.0":            {"1.0": true, "1.0+x": false},
		"<2,>=1.7":          {"1.7": true, "2.0": false, "2.0rc1": false, "1.99": true},
		"<2rc1":             {"2b1": true, "2rc1": false},
		">1.7":              {"1.7": false, "1.7.post1": false, "1.7.1": true},
		">1.7.post1":        {"1.7.post2": true, "1.7.post1": false},
		"<=8.0.0":           {"8.0": true, "8.7.0": false},
		">=3.19,<6.0,!=5.1": {"5.0": true, "5.1": false, "6.0": false, "4.25.3": true},
		">= 1.2 , < 2":      {"1.5": true},
		"=>1":               {"2": false},
		"nonsense":          {"1": false},
		">=1.*":             {"1": false},
		"==1!1.0":           {"1.0": false, "1!1.0": true},
	} {
		for text, want := range versions {
			v, ok := parseVersion(text)
			if !ok {
				t.Fatalf("%s: not read", text)
			}
			if got := v.satisfies(spec); got != want {
				t.Errorf("%s in %q is %t", text, spec, got)
			}
		}
	}
}
