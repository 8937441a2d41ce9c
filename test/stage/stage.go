// SPDX-License-Identifier: Apache-2.0

package stage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Stage is a cluster with what a cold start needs. It is not safe for concurrent use, except for Kube.
type Stage struct {
	*Progress

	Kube kubernetes.Interface
	Rest *rest.Config

	checkout string
	dir      string // the cluster's folder
	bin      string // of the binaries that all clusters of the checkout share
	env      map[string]string
	// own says that Open booted the cluster, so that Close stops it.
	own         bool
	kept        bool
	driverBuilt bool
	tag         string // of the images
	pull        string // the registry that nodes pull them from
	system      string // the namespace of coldtrace itself
	guest       *Guest // whose cluster it is, if it is somebody's
}

// shutdownTime bounds Close, which runs after an interrupt, too.
const shutdownTime = 2 * time.Minute

// EnvClusterDir is the cluster's folder, if it isn't .cluster: another cluster beside it, as test/cluster's --dir.
const EnvClusterDir = "CLUSTER_DIR"

// Open boots the cluster, or joins the one that is up in this checkout. Its progress goes to w.
func Open(ctx context.Context, w io.Writer) (*Stage, error) {
	checkout, err := findCheckout()
	if err != nil {
		return nil, err
	}
	home := filepath.Join(checkout, ".cluster")
	s := &Stage{Progress: NewProgress(w), checkout: checkout, dir: home, bin: filepath.Join(home, "bin"), pull: ownRegistry, system: SystemNamespace}
	if dir := os.Getenv(EnvClusterDir); dir != "" {
		if s.dir, err = filepath.Abs(dir); err != nil {
			return nil, fmt.Errorf("resolve the cluster's folder: %w", err)
		}
	}
	if err := os.MkdirAll(s.bin, 0o755); err != nil { //nolint:gosec // binaries that anyone may run
		return nil, fmt.Errorf("create the cluster's folder: %w", err)
	}
	if err := s.Step("cluster driver built", func() error { return s.buildDriver(ctx) }); err != nil {
		return nil, err
	}
	s.own = s.cluster(ctx, io.Discard, "status") != nil
	s.tag = "dev"
	if !s.own {
		// The node keeps images that it has pulled, and would go on with yesterday's.
		s.tag = newTag()
	}
	if err := s.cluster(ctx, w, "up"); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.connect(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// newTag is a tag that no node has pulled.
func newTag() string { return "dev-" + strconv.FormatInt(time.Now().Unix(), 36) }

// Owned says that the cluster is this stage's own: it was not up before.
func (s *Stage) Owned() bool { return s.own }

// Guest says that the cluster is somebody's.
func (s *Stage) Guest() bool { return s.guest != nil }

// Keep leaves the cluster to the user as it is: Close does nothing.
func (s *Stage) Keep() { s.kept = true }

// Close stops the cluster if Open booted it, or takes from a guest's what was put there, whatever has become of the context
// meanwhile.
func (s *Stage) Close() error {
	if s.kept || !s.own && s.guest == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	if s.guest != nil {
		return s.leave(ctx)
	}
	return s.cluster(ctx, s.w, "down")
}

// Kubeconfig is the path of the cluster's kubeconfig.
func (s *Stage) Kubeconfig() string { return s.env["KUBECONFIG"] }

// NodeIP is the address of the node, where its add-ons listen.
func (s *Stage) NodeIP() string { return s.env["NODE_IP"] }

// Dir is the cluster's folder.
func (s *Stage) Dir() string { return s.dir }

// Bin is the folder of the programs that all clusters of the checkout share.
func (s *Stage) Bin() string { return s.bin }

// Run is the folder of what a running cluster writes.
func (s *Stage) Run() string { return filepath.Join(s.dir, "run") }

// Checkout is the repository's folder.
func (s *Stage) Checkout() string { return s.checkout }

// Tag is that of the images that PushImages pushes.
func (s *Stage) Tag() string { return s.tag }

// Path is a file of the checkout, for people: relative where they are in it.
func (s *Stage) Path(path string) string {
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, path); err == nil && !strings.HasPrefix(rel, "..") {
			return rel
		}
	}
	return path
}

func (s *Stage) connect() error {
	env, err := readEnv(filepath.Join(s.dir, "env"))
	if err != nil {
		return err
	}
	s.env = env
	return s.clients()
}

func (s *Stage) clients() (err error) {
	if s.Rest, err = clientcmd.BuildConfigFromFlags("", s.Kubeconfig()); err != nil {
		return fmt.Errorf("read the cluster's kubeconfig: %w", err)
	}
	if s.Kube, err = kubernetes.NewForConfig(s.Rest); err != nil {
		return fmt.Errorf("create a client: %w", err)
	}
	return nil
}

func (s *Stage) environ() []string {
	var out []string
	for name, value := range s.env {
		if name != "PATH" {
			out = append(out, name+"="+value)
		}
	}
	return out
}

// readEnv reads lines of `export NAME="value"`.
func readEnv(path string) (map[string]string, error) {
	file, err := os.Open(path) //nolint:gosec // the cluster's own file
	if err != nil {
		return nil, fmt.Errorf("open the cluster's environment: %w", err)
	}
	defer file.Close()
	env := map[string]string{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		name, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(lines.Text()), "export "), "=")
		if !ok {
			continue
		}
		if plain, err := strconv.Unquote(value); err == nil {
			value = plain
		}
		env[name] = value
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the cluster's environment: %w", err)
	}
	return env, nil
}

// findCheckout walks up to the folder that has the driver of the cluster.
func findCheckout() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("get working folder: %w", err)
	}
	for {
		if isFile(filepath.Join(dir, "test", "cluster", "go.mod")) {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find checkout: run this inside the coldtrace repository")
		}
		dir = parent
	}
}
