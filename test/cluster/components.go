// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
)

// etcdArgs trade durability for speed: no cluster outlives its node.
func etcdArgs(l layout, client, peer string) []string {
	return []string{
		l.exe("etcd"),
		"--data-dir=" + l.data("etcd"),
		"--listen-client-urls=" + client,
		"--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=default=" + peer,
		"--unsafe-no-fsync",
		"--log-level=warn",
	}
}

func apiServerArgs(l layout, etcd, address, port, serviceCIDR string) []string {
	return []string{
		l.exe("kube-apiserver"),
		"--etcd-servers=" + etcd,
		"--bind-address=" + address,
		"--secure-port=" + port,
		"--service-cluster-ip-range=" + serviceCIDR,
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--client-ca-file=" + l.pki("ca.crt"),
		"--tls-cert-file=" + l.pki("apiserver.crt"),
		"--tls-private-key-file=" + l.pki("apiserver.key"),
		"--kubelet-client-certificate=" + l.pki("apiserver-kubelet-client.crt"),
		"--kubelet-client-key=" + l.pki("apiserver-kubelet-client.key"),
		"--kubelet-certificate-authority=" + l.pki("ca.crt"),
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + l.pki("sa.key"),
		"--service-account-signing-key-file=" + l.pki("sa.key"),
		"--requestheader-client-ca-file=" + l.pki("front-proxy-ca.crt"),
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-username-headers=X-Remote-User",
		"--proxy-client-cert-file=" + l.pki("front-proxy-client.crt"),
		"--proxy-client-key-file=" + l.pki("front-proxy-client.key"),
		"--audit-policy-file=" + l.conf("audit.yaml"),
		"--audit-log-path=" + l.auditLog(),
	}
}

func controllerManagerArgs(l layout) []string {
	return []string{
		l.exe("kube-controller-manager"),
		"--kubeconfig=" + l.conf("controller-manager.kubeconfig"),
		"--authentication-kubeconfig=" + l.conf("controller-manager.kubeconfig"),
		"--authorization-kubeconfig=" + l.conf("controller-manager.kubeconfig"),
		"--bind-address=127.0.0.1",
		"--leader-elect=false",
		// The default, 20 a second, makes the start of some forty controllers wait in a queue of its own.
		"--kube-api-qps=500",
		"--kube-api-burst=500",
		"--use-service-account-credentials=true",
		"--service-account-private-key-file=" + l.pki("sa.key"),
		"--root-ca-file=" + l.pki("ca.crt"),
		"--cluster-signing-cert-file=" + l.pki("ca.crt"),
		"--cluster-signing-key-file=" + l.pki("ca.key"),
		// The default is a folder of the machine's, which the controllers would create.
		"--flex-volume-plugin-dir=" + l.data("volumeplugins"),
	}
}

func schedulerArgs(l layout) []string {
	return []string{
		l.exe("kube-scheduler"),
		"--kubeconfig=" + l.conf("scheduler.kubeconfig"),
		"--authentication-kubeconfig=" + l.conf("scheduler.kubeconfig"),
		"--authorization-kubeconfig=" + l.conf("scheduler.kubeconfig"),
		"--bind-address=127.0.0.1",
		"--leader-elect=false",
		// The default, 20 a second, makes the start of some forty controllers wait in a queue of its own.
		"--kube-api-qps=500",
		"--kube-api-burst=500",
	}
}

// nodeLabels are those of an AWS p5.48xlarge as its cloud and NVIDIA's feature discovery label it.
var nodeLabels = []string{
	"k8s.amazonaws.com/accelerator=nvidia-hopper-h100",
	"node-lifecycle=normal",
	"nvidia.com/gpu.product=NVIDIA-H100-80GB-HBM3",
	"node.kubernetes.io/instance-type=p5.48xlarge",
	"topology.kubernetes.io/region=us-west-2",
	"topology.kubernetes.io/zone=us-west-2a",
}

// nodeGPUs is what the node says it has; no device plugin is involved, and none is needed to schedule.
const nodeGPUs = "8"

func kubeletArgs(l layout, n network) []string {
	return []string{
		l.exe("kubelet"),
		"--config=" + l.conf("kubelet.yaml"),
		"--kubeconfig=" + l.conf("kubelet.kubeconfig"),
		"--hostname-override=" + nodeName,
		"--node-ip=" + n.NodeIP,
		"--node-labels=" + strings.Join(nodeLabels, ","),
	}
}

func kubeProxyArgs(l layout) []string {
	return []string{l.exe("kube-proxy"), "--config=" + l.conf("kube-proxy.yaml")}
}

func containerdArgs(l layout) []string {
	return []string{l.exe("containerd"), "--config=" + l.conf("containerd.toml")}
}

func dnsArgs(l layout) []string { return []string{l.exe("dns"), "-conf", l.conf("Corefile")} }

func registryArgs(l layout) []string {
	return []string{l.exe("crane"), "registry", "serve", "--address=0.0.0.0:" + registryPort, "--disk=" + l.data("registry")}
}
