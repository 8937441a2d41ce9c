// SPDX-License-Identifier: Apache-2.0

package vllm

import (
	"slices"
	"testing"
)

func TestRequirementsAreRead(t *testing.T) {
	for text, want := range map[string]requirement{
		"Zope.Interface":                       {name: "zope-interface"},
		"a_b >= 1 , < 2":                       {name: "a-b", versions: ">= 1 , < 2"},
		"importlib-metadata (<=8.0,>=6)":       {name: "importlib-metadata", versions: "<=8.0,>=6"},
		"requests[socks,use_chardet]~=2.7":     {name: "requests", extras: []string{"socks", "use-chardet"}, versions: "~=2.7"},
		"x ; python_version<'3.9'":             {name: "x", condition: " python_version<'3.9'"},
		"x @ https://host/x.whl":               {name: "x"},
		"x[y]@ file:///x.whl ; extra == 'dev'": {name: "x", extras: []string{"y"}, condition: " extra == 'dev'"},
	} {
		got := parseRequirement(text)
		if got.name != want.name || got.versions != want.versions || got.condition != want.condition || !slices.Equal(got.extras, want.extras) {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

func TestMarkers(t *testing.T) {
	for condition, want := range map[string]bool{
		"":                         true,
		`python_version < "3.10"`:  false,
		`python_version >= '3.12'`: true,
		`"3.9" < python_version`:   true, // read the other way round it is not known: it counts
		`sys_platform == "win32"`:  false,
		`sys_platform != "win32" and os_name == "posix"`:                            true,
		`platform_system == "Windows" or python_version in "3.11 3.12"`:             true,
		`(python_version < "3.8" or extra == "dev") and sys_platform == "linux"`:    false,
		`(python_version < "3.8" or extra == "Grpc_X") and sys_platform == "linux"`: true,
		`platform_python_implementation == "PyPy"`:                                  false,
		`platform_python_implementation not in "PyPy Jython"`:                       true,
		`implementation_name == "cpython" and extra == "grpc-x"`:                    true,
		`platform_release >= "5"`:                                                   true,
		`python_full_version < "3.11.0a6"`:                                          true,
		`python_version ~= "3.12" and (`:                                            true,
		`extra == "unterminated`:                                                    true,
	} {
		if got := (requirement{condition: condition}).applies("python3.12", []string{"grpc-x"}); got != want {
			t.Errorf("%q is %t", condition, got)
		}
	}
}
