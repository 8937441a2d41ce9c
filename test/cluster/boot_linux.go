// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// bootTimeout is generous: a busy two-core machine takes most of a minute.
const bootTimeout = 2 * time.Minute

// boot brings the node up. Each step's line says when its part became ready, counted from its own start.
func (nd *node) boot(ctx context.Context, out *progress) error {
	ctx, cancel := context.WithTimeout(ctx, bootTimeout)
	defer cancel()
	l, n := nd.l, nd.n
	const etcd = "http://127.0.0.1:2379"
	start := time.Now()

	if err := out.step("node "+n.NodeIP+" in namespaces of its own", nd.prepare); err != nil {
		return err
	}
	if err := nd.configure(); err != nil {
		return err
	}
	if err := os.MkdirAll(l.data("registry"), 0o755); err != nil {
		return fmt.Errorf("create registry folder: %w", err)
	}
	if err := nd.startAll(map[string][]string{
		"etcd":       etcdArgs(l, etcd, "http://127.0.0.1:2380"),
		"containerd": containerdArgs(l),
		"registry":   registryArgs(l),
	}); err != nil {
		return err
	}
	if err := nd.await(ctx, out, "etcd", start, httpOK(etcd+"/readyz")); err != nil {
		return err
	}
	apiStart := time.Now()
	if err := nd.start("kube-apiserver", apiServerArgs(l, etcd, "0.0.0.0", "6443", n.ServiceCIDR)); err != nil {
		return err
	}
	if err := nd.await(ctx, out, "containerd", start, socketOpen(criSocket)); err != nil {
		return err
	}
	if err := nd.await(ctx, out, "registry", start, tcpOpen("127.0.0.1:"+registryPort)); err != nil {
		return err
	}
	if err := out.step("pause image pushed", func() error { return nd.pushPause(ctx) }); err != nil {
		return err
	}
	api, err := newAPI(l, "https://"+n.NodeIP+":6443")
	if err != nil {
		return err
	}
	if err := nd.await(ctx, out, "kube-apiserver", apiStart, api.ready); err != nil {
		return err
	}
	restStart := time.Now()
	if err := nd.startAll(map[string][]string{
		"kubelet":                 kubeletArgs(l, n),
		"kube-controller-manager": controllerManagerArgs(l),
		"kube-scheduler":          schedulerArgs(l),
		"kube-proxy":              kubeProxyArgs(l),
		"dns":                     dnsArgs(l),
	}); err != nil {
		return err
	}
	// A patch of the node's status as soon as the node exists; the kubelet keeps what it doesn't know.
	if err := nd.await(ctx, out, "kubelet", restStart, api.exists("/api/v1/nodes/"+nodeName)); err != nil {
		return err
	}
	if err := api.offerGPUs(ctx, nodeName); err != nil {
		return err
	}
	for _, c := range []struct {
		name  string
		check func(context.Context) error
	}{
		{"kube-proxy", httpOK("http://127.0.0.1:10256/healthz")},
		{"dns", httpOK("http://127.0.0.1:8181/ready")},
		{"kube-scheduler", httpsOK("https://127.0.0.1:10259/readyz")},
		{"kube-controller-manager", api.exists("/api/v1/namespaces/default/serviceaccounts/default")},
		{"node Ready with " + nodeGPUs + " GPUs", api.nodeReady(nodeName)},
	} {
		if err := nd.await(ctx, out, c.name, restStart, c.check); err != nil {
			return err
		}
	}
	return nd.listen()
}

// configure writes keys and configuration.
func (nd *node) configure() error {
	l, n := nd.l, nd.n
	if err := writePKI(filepath.Join(l.run, "pki"), nodeName, []string{n.NodeIP, n.ServiceIP}); err != nil {
		return err
	}
	s := settings{
		N: n, NodeName: nodeName, RegistryName: registryName, PauseImage: pauseImage, CRISocket: criSocket, Cgroup: nd.cgroup,
		Kubeconfig: l.kubeconfig(), Platform: platform(),
	}
	var err error
	if s.Snapshotter, err = snapshotterFor("/var/lib/containerd"); err != nil {
		return err
	}
	if s.Runc, err = findTool("runc"); err != nil {
		return err
	}
	if s.CNIBin, err = findCNI(); err != nil {
		return err
	}
	return writeNodeConf(l, s)
}

func (nd *node) startAll(argvs map[string][]string) error {
	for name, argv := range argvs {
		if err := nd.start(name, argv); err != nil {
			return err
		}
	}
	return nil
}

func (nd *node) start(name string, argv []string) error {
	_, err := nd.run(name, argv, nil)
	return err
}

// await polls check until it passes; a component that dies meanwhile is reported with the end of its log.
func (nd *node) await(ctx context.Context, out *progress, name string, since time.Time, check func(context.Context) error) error {
	nd.mu.Lock()
	c := nd.started[name]
	nd.mu.Unlock()
	var process ended
	if c != nil {
		process = c
	}
	if err := poll(ctx, process, check); err != nil {
		return fmt.Errorf("wait for %s: %w\n%s", name, err, tail(nd.l.log(name)))
	}
	if c != nil {
		name += " ready"
	}
	out.done(name, time.Since(since))
	return nil
}

// pushPause makes the sandbox image from our own binary, so that the runtime has nothing to fetch from
// elsewhere and pulls it from the registry as it does all others.
func (nd *node) pushPause(ctx context.Context) error {
	layer := nd.l.data("pause.tar")
	if err := writeTar(layer, "pause", nd.l.exe("pause")); err != nil {
		return err
	}
	image := "127.0.0.1:" + registryPort + "/pause:1"
	for _, argv := range [][]string{
		{nd.l.exe("crane"), "append", "--platform", platform(), "--new_layer", layer, "--new_tag", image},
		{nd.l.exe("crane"), "mutate", image, "--set-platform", platform(), "--entrypoint", "/pause", "--tag", image},
	} {
		c, err := nd.run("pause-image", argv, nil)
		if err != nil {
			return err
		}
		nd.forget("pause-image")
		select {
		case <-c.done:
		case <-ctx.Done():
			return fmt.Errorf("push pause image: %w", context.Cause(ctx))
		}
		if c.exitCode() != 0 {
			return fmt.Errorf("push pause image: crane: exit code %d\n%s", c.exitCode(), tail(nd.l.log("pause-image")))
		}
	}
	if err := os.Remove(layer); err != nil {
		return fmt.Errorf("remove layer: %w", err)
	}
	return nil
}
