// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"embed"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
)

//go:embed conf
var confFiles embed.FS

const (
	nodeName     = "gpu-node"
	registryName = "registry.coldtrace.test"
	registryPort = "5000"
	pauseImage   = registryName + "/pause:1"
	criSocket    = "/run/containerd/containerd.sock"
)

// settings is what the templates under conf/ may say.
type settings struct {
	N            network
	NodeName     string
	RegistryName string
	PauseImage   string
	CRISocket    string
	Snapshotter  string
	Runc         string
	CNIBin       string
	Cgroup       string
	Kubeconfig   string
	Platform     string
}

// writeConf renders one template to a file, making its folder.
func writeConf(l layout, name, file string, data any) error {
	t, err := template.New(name).
		Funcs(template.FuncMap{"conf": l.conf, "pki": l.pki}).
		Option("missingkey=error").
		ParseFS(confFiles, "conf/"+name)
	if err != nil {
		return fmt.Errorf("parse %s: %w", name, err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("create configuration folder: %w", err)
	}
	// Kubeconfigs hold keys.
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// writeNodeConf renders all that the node's components read.
func writeNodeConf(l layout, s settings) error {
	for name, file := range map[string]string{
		"containerd.toml": l.conf("containerd.toml"),
		"cni.json":        l.conf("cni/10-pods.conflist"),
		"hosts.toml":      l.conf("certs.d/" + registryName + "/hosts.toml"),
		"kubelet.yaml":    l.conf("kubelet.yaml"),
		"kube-proxy.yaml": l.conf("kube-proxy.yaml"),
		"Corefile":        l.conf("Corefile"),
		"audit.yaml":      l.conf("audit.yaml"),
	} {
		if err := writeConf(l, name, file, s); err != nil {
			return err
		}
	}
	server := "https://" + s.N.NodeIP + ":6443"
	for _, user := range []string{"controller-manager", "scheduler", "kubelet", "kube-proxy"} {
		if err := writeKubeconfig(l, l.conf(user+".kubeconfig"), server, user); err != nil {
			return err
		}
	}
	return writeKubeconfig(l, l.kubeconfig(), server, "admin")
}

// writeKubeconfig embeds keys and certificates, so that the file works from anywhere.
func writeKubeconfig(l layout, file, server, user string) error {
	data := map[string]string{"Server": server, "User": user}
	for field, name := range map[string]string{"CA": "ca.crt", "Cert": user + ".crt", "Key": user + ".key"} {
		b, err := os.ReadFile(l.pki(name))
		if err != nil {
			return fmt.Errorf("read credentials: %w", err)
		}
		data[field] = base64.StdEncoding.EncodeToString(b)
	}
	return writeConf(l, "kubeconfig", file, data)
}
