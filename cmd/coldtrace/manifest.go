// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/coldtrace/coldtrace/endpoint"
)

// manifest is one object of a file, as JSON, and the pods in it.
type manifest struct {
	raw       []byte
	Kind      string
	Name      string
	Namespace string
	pods      []podTemplate
	unknown   []string // what is said of each field of them that this version does not know
	kinds     []string // its own, or of a list those of its items
}

// podTemplate is a pod, or a template for pods, in a manifest.
type podTemplate struct {
	path string // its JSON pointer
	pod  *endpoint.Pod
}

// templatePaths are where kinds hold their pods.
var templatePaths = map[string][][]string{
	"Pod":                   {{}},
	"PodTemplate":           {{"template"}},
	"Deployment":            {{"spec", "template"}},
	"ReplicaSet":            {{"spec", "template"}},
	"ReplicationController": {{"spec", "template"}},
	"StatefulSet":           {{"spec", "template"}},
	"DaemonSet":             {{"spec", "template"}},
	"Job":                   {{"spec", "template"}},
	"CronJob":               {{"spec", "jobTemplate", "spec", "template"}},
	"LeaderWorkerSet":       {{"spec", "leaderWorkerTemplate", "leaderTemplate"}, {"spec", "leaderWorkerTemplate", "workerTemplate"}},
}

// readManifests reads the objects of a YAML or JSON file; "-" is standard input.
func readManifests(path string, stdin io.Reader) ([]manifest, error) {
	in, err := input(stdin, path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	var out []manifest
	docs := utilyaml.NewYAMLReader(bufio.NewReader(in))
	for n := 1; ; n++ {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read manifest: %w", err)
		}
		raw, err := yaml.YAMLToJSON(doc)
		if err != nil {
			return nil, fmt.Errorf("document %d of %s is broken: %w", n, path, slip(nil, err))
		}
		if bytes.Equal(raw, []byte("null")) {
			continue // only comments
		}
		m, err := newManifest(raw)
		if err != nil {
			return nil, fmt.Errorf("document %d of %s is broken: %w", n, path, err)
		}
		out = append(out, m)
	}
}

func newManifest(raw []byte) (manifest, error) {
	var head struct {
		Kind     string `json:"kind"`
		Metadata struct {
			Name         string `json:"name"`
			GenerateName string `json:"generateName"`
			Namespace    string `json:"namespace"`
		} `json:"metadata"`
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return manifest{}, fmt.Errorf("it is no object of Kubernetes: %w", slip(raw, err))
	}
	m := manifest{
		raw: raw, Kind: head.Kind, Name: cmp.Or(head.Metadata.Name, head.Metadata.GenerateName), Namespace: head.Metadata.Namespace, kinds: []string{head.Kind},
	}
	if head.Items != nil {
		m.kinds = nil
	}
	for i, item := range head.Items {
		inner, err := newManifest(item)
		if err != nil {
			return manifest{}, fmt.Errorf("item %d: %w", i, err)
		}
		m.kinds, m.unknown = append(m.kinds, inner.kinds...), append(m.unknown, inner.unknown...)
		for _, t := range inner.pods {
			t.path = "/items/" + strconv.Itoa(i) + t.path
			t.pod.Metadata.Name = cmp.Or(t.pod.Metadata.Name, inner.Name)
			t.pod.Metadata.Namespace = cmp.Or(t.pod.Metadata.Namespace, inner.Namespace)
			m.pods = append(m.pods, t)
		}
	}
	for i, path := range templatePaths[head.Kind] {
		pod, unknown, err := podAt(raw, path)
		if err != nil {
			return manifest{}, fmt.Errorf("decode pod of %s %q: %w", head.Kind, m.Name, err)
		}
		if pod == nil {
			continue
		}
		for _, field := range unknown {
			m.unknown = append(m.unknown, fmt.Sprintf("Warning: %s %q is broken, or newer than this coldtrace: %s", head.Kind, m.Name, field))
		}
		m.own(pod, i)
		pointer := strings.Join(append([]string{""}, path...), "/") // of the whole object: empty
		m.pods = append(m.pods, podTemplate{pointer, pod})
	}
	if paths := templatePaths[head.Kind]; len(paths) > 0 && len(m.pods) == 0 {
		return manifest{}, fmt.Errorf("%s %q has no %s; is it indented as it should be?", head.Kind, m.Name, strings.Join(paths[0], "."))
	}
	return m, nil
}

// controllers are the kinds of objects that kinds have made for them, which then control the pods. Others control them themselves.
var controllers = map[string]string{"Deployment": "ReplicaSet", "CronJob": "Job", "LeaderWorkerSet": "StatefulSet"}

// own gives a pod of the i-th template what it will have of the object when it comes to admission: a controller and, of a
// LeaderWorkerSet, the labels that say where in the group it is.
func (m *manifest) own(pod *endpoint.Pod, i int) {
	if m.Name == "" || m.Kind == "Pod" || m.Kind == "PodTemplate" {
		return
	}
	pod.Metadata.OwnerReferences = append(pod.Metadata.OwnerReferences, metav1.OwnerReference{
		Kind: cmp.Or(controllers[m.Kind], m.Kind), Name: m.Name, Controller: new(true),
	})
	if m.Kind == "LeaderWorkerSet" {
		if pod.Metadata.Labels == nil {
			pod.Metadata.Labels = map[string]string{}
		}
		maps.Copy(pod.Metadata.Labels, endpoint.InLeaderWorkerSet(m.Name, i))
	}
}

// podAt decodes the pod at a path, nil if there is nothing, and names the fields of it that are not known.
func podAt(raw []byte, path []string) (*endpoint.Pod, []string, error) {
	for _, name := range path {
		var fields map[string]json.RawMessage
		if json.Unmarshal(raw, &fields) != nil {
			return nil, nil, fmt.Errorf("%s can't be found in what is no object", strings.Join(path, "."))
		}
		if raw = fields[name]; raw == nil {
			return nil, nil, nil
		}
	}
	pod, unknown, err := strictly(raw, len(path) == 0)
	switch {
	case err != nil:
		return nil, nil, err
	case len(pod.Spec.Containers) > 0:
		return endpoint.FromPod(pod), unknown, nil
	}
	return nil, nil, fmt.Errorf("it has no containers, which stand in spec.containers%s; is that indented as it should be?",
		strings.Join(append([]string{""}, unknown...), "; "))
}

// strictly decodes a pod, or a template of one, as the API server does, which refuses a number for a text, and a GPU limit
// that is no quantity. A field that it would not know may be one of a newer API, or slipped a level: limits beside resources.
func strictly(raw []byte, whole bool) (pod *corev1.Pod, unknown []string, err error) {
	pod, template := new(corev1.Pod), new(corev1.PodTemplateSpec)
	var into any = template
	if whole {
		into = pod
	}
	strict, err := kjson.UnmarshalStrict(raw, into)
	for _, e := range strict {
		unknown = append(unknown, e.Error())
	}
	if !whole {
		pod.ObjectMeta, pod.Spec = template.ObjectMeta, template.Spec
	}
	return pod, unknown, slip(raw, err)
}

// podKinds are those in which pods are looked for.
func podKinds() string {
	return strings.Join(slices.Sorted(maps.Keys(templatePaths)), ", ") + " and List"
}

// builtIn tells whether the API server has a kind of its own by that name, which Deploymnet is not.
func builtIn(kind string) bool {
	for known := range scheme.Scheme.AllKnownTypes() {
		if known.Kind == kind {
			return true
		}
	}
	return false
}

// seenKinds are those of the objects in manifests, each once.
func seenKinds(manifests []manifest) (kinds []string) {
	for _, m := range manifests {
		for _, kind := range m.kinds {
			if called := cmp.Or(kind, "none (an object has no kind)"); !slices.Contains(kinds, called) {
				kinds = append(kinds, called)
			}
		}
	}
	return kinds
}

// unknownKinds says of each kind that is neither the API server's nor known to hold pods that nothing is done to it.
func unknownKinds(manifests []manifest) (warnings []string) {
	for _, kind := range seenKinds(manifests) {
		if templatePaths[kind] == nil && !builtIn(kind) {
			warnings = append(warnings, fmt.Sprintf("kind %s is not known, so that object is left as it is; pods are looked for in %s", kind, podKinds()))
		}
	}
	return warnings
}
