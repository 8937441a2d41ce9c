// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// api is the little of the Kubernetes API that booting a node needs; client-go would be most of the
// driver's binary and compile time.
type api struct {
	server string
	client *http.Client
}

func newAPI(l layout, server string) (*api, error) {
	cert, err := tls.LoadX509KeyPair(l.pki("admin.crt"), l.pki("admin.key"))
	if err != nil {
		return nil, fmt.Errorf("load admin credentials: %w", err)
	}
	ca, err := os.ReadFile(l.pki("ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("load authority: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return &api{
		server: server,
		client: &http.Client{Transport: &http.Transport{
			TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: pool},
		}},
	}, nil
}

func (a *api) ready(ctx context.Context) error { return answers(a.client, a.server+"/readyz")(ctx) }

func (a *api) exists(path string) func(context.Context) error {
	return answers(a.client, a.server+path)
}

// offerGPUs adds the extended resource as a device plugin would. The kubelet leaves resources it doesn't
// know in the capacity and copies them to the allocatable ones.
func (a *api) offerGPUs(ctx context.Context, name string) error {
	patch := fmt.Sprintf(`{"status":{"capacity":{"nvidia.com/gpu":%q},"allocatable":{"nvidia.com/gpu":%q}}}`, nodeGPUs, nodeGPUs)
	req, err := http.NewRequestWithContext(ctx, http.MethodPatch, a.server+"/api/v1/nodes/"+name+"/status", strings.NewReader(patch))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/merge-patch+json")
	resp, err := a.client.Do(req)
	if err != nil {
		return fmt.Errorf("offer GPUs: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 1024))
		return fmt.Errorf("offer GPUs: %s: %s", resp.Status, body)
	}
	return nil
}

// nodeReady passes once the node is Ready, untainted and allocates GPUs: when a GPU pod can be placed.
func (a *api) nodeReady(name string) func(context.Context) error {
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.server+"/api/v1/nodes/"+name, nil)
		if err != nil {
			return fmt.Errorf("make request: %w", err)
		}
		resp, err := a.client.Do(req)
		if err != nil {
			return fmt.Errorf("get node: %w", err)
		}
		defer resp.Body.Close()
		return checkNode(resp.Body)
	}
}

func checkNode(body io.Reader) error {
	var node struct {
		Spec struct {
			Taints []struct{ Key string }
		}
		Status struct {
			Allocatable map[string]string
			Conditions  []struct{ Type, Status, Message string }
		}
	}
	if err := json.NewDecoder(body).Decode(&node); err != nil {
		return fmt.Errorf("parse node: %w", err)
	}
	for _, c := range node.Status.Conditions {
		if c.Type == "Ready" && c.Status != "True" {
			return fmt.Errorf("node is not ready: %s", c.Message)
		}
	}
	if len(node.Status.Conditions) == 0 {
		return errors.New("node has no conditions yet")
	}
	if len(node.Spec.Taints) > 0 {
		return fmt.Errorf("node is tainted: %s", node.Spec.Taints[0].Key)
	}
	if node.Status.Allocatable["nvidia.com/gpu"] != nodeGPUs {
		return errors.New("node has no GPUs yet")
	}
	return nil
}
