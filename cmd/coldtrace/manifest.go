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
	"os"
	"strconv"
	"strings"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
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
	in := stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("read manifest: %w", err)
		}
		defer f.Close()
		in = f
	}
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
			return nil, fmt.Errorf("read manifest: document %d: %w", n, err)
		}
		if bytes.Equal(raw, []byte("null")) {
			continue // only comments
		}
		m, err := newManifest(raw)
		if err != nil {
			return nil, fmt.Errorf("read manifest: document %d: %w", n, err)
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
		return manifest{}, fmt.Errorf("decode object: %w", err)
	}
	m := manifest{raw: raw, Kind: head.Kind, Name: head.Metadata.Name, Namespace: head.Metadata.Namespace, kinds: []string{head.Kind}}
	if m.Name == "" {
		m.Name = head.Metadata.GenerateName
	}
	if head.Items != nil {
		m.kinds = nil
	}
	for i, item := range head.Items {
		inner, err := newManifest(item)
		if err != nil {
			return manifest{}, fmt.Errorf("item %d: %w", i, err)
		}
		m.kinds = append(m.kinds, inner.kinds...)
		for _, t := range inner.pods {
			t.path = "/items/" + strconv.Itoa(i) + t.path
			t.pod.Metadata.Name = cmp.Or(t.pod.Metadata.Name, inner.Name)
			t.pod.Metadata.Namespace = cmp.Or(t.pod.Metadata.Namespace, inner.Namespace)
			m.pods = append(m.pods, t)
		}
	}
	for _, path := range templatePaths[head.Kind] {
		pod, err := podAt(raw, path)
		if err != nil {
			return manifest{}, fmt.Errorf("decode pod of %s %q: %w", head.Kind, m.Name, err)
		}
		if pod == nil {
			continue
		}
		pointer := strings.Join(append([]string{""}, path...), "/") // of the whole object: empty
		m.pods = append(m.pods, podTemplate{pointer, pod})
	}
	return m, nil
}

// podAt decodes the pod at a path, nil if there is nothing.
func podAt(raw []byte, path []string) (*endpoint.Pod, error) {
	for _, name := range path {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(raw, &fields); err != nil {
			return nil, err
		}
		if raw = fields[name]; raw == nil {
			return nil, nil
		}
	}
	pod := new(endpoint.Pod)
	return pod, json.Unmarshal(raw, pod)
}
