// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/coldtrace/coldtrace/cluster"
)

// connect is a client of the cluster that flags name, and the namespace that is meant.
func connect(flags *genericclioptions.ConfigFlags) (kubernetes.Interface, string, error) {
	cfg, err := flags.ToRESTConfig()
	if clientcmd.IsEmptyConfig(err) || err == nil && isDefault(flags, cfg) {
		if named := os.Getenv(clientcmd.RecommendedConfigPathEnvVar); named != "" {
			return nil, "", fmt.Errorf("%w (KUBECONFIG is %s, where no cluster is named)", errNoKubeconfig, named)
		}
		return nil, "", errNoKubeconfig
	}
	if err != nil {
		return nil, "", unloaded(err)
	}
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, "", fmt.Errorf("make a client: %w", err)
	}
	namespace, _, err := flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return nil, "", fmt.Errorf("find the namespace: %w", err)
	}
	return client, namespace, nil
}

// ownCluster is the one that the process is in, or the one that KUBECONFIG names.
func ownCluster() (*rest.Config, error) {
	cfg, err := ctrl.GetConfig()
	switch {
	case clientcmd.IsEmptyConfig(err):
		return nil, errors.New("there is no cluster: this is no pod of one, and there is no kubeconfig; set KUBECONFIG")
	case err != nil:
		return nil, unloaded(err)
	}
	return cfg, nil
}

var errNoKubeconfig = errors.New("there is no kubeconfig: set KUBECONFIG or give --kubeconfig")

// noConfig is what client-go says of a file that is something else, in Go's words.
var noConfig = regexp.MustCompile(`couldn't get version/kind; json parse error: .*`)

// unloaded says why a kubeconfig can't be used.
func unloaded(err error) error {
	var file *fs.PathError
	if errors.As(err, &file) {
		err = unopened(file.Path, file.Err)
	}
	return fmt.Errorf("load kubeconfig: %s; --kubeconfig names another, kubectl config get-contexts lists what is in it", noConfig.ReplaceAllString(err.Error(), "it is no kubeconfig"))
}

// isDefault tells whether nobody has said where the cluster is: then client-go tries this machine.
func isDefault(flags *genericclioptions.ConfigFlags, cfg *rest.Config) bool {
	raw, err := flags.ToRawKubeConfigLoader().RawConfig()
	return err == nil && len(raw.Clusters) == 0 && *flags.APIServer == "" && os.Getenv("KUBERNETES_MASTER") == "" && cfg.Host == clientcmd.ClusterDefaults.Server
}

// takenForPods says why something was looked for in a cluster.
func takenForPods(names []string, err error) error {
	if len(names) == 0 {
		return err
	}
	unknown := errors.Is(err, errNoKubeconfig)
	for _, name := range names {
		kind, _, ok := strings.Cut(name, "/")
		if ok && !cluster.IsKind(kind) && (unknown || strings.Contains(err.Error(), fmt.Sprintf("have a resource type %q", kind))) {
			return fmt.Errorf("there is no file %s, and %w", name, noKind(name))
		}
	}
	if strings.Contains(names[0], "/") || !unknown {
		return err
	}
	return fmt.Errorf("there is no file %s, so it was taken for a pod; and %w", names[0], err)
}

// unnamed says of KIND/ that the name is missing.
func unnamed(names []string) error {
	for _, name := range names {
		if kind, rest, ok := strings.Cut(name, "/"); ok && rest == "" && cluster.IsKind(kind) {
			return fmt.Errorf("%s names none: want %sNAME; kubectl get %s lists those there are", name, name, kind)
		}
	}
	return nil
}

// noKind says of KIND/NAME, of which there is no such kind, which one may have been meant, and which there are.
func noKind(name string) error {
	kind, rest, _ := strings.Cut(name, "/")
	return fmt.Errorf("there is no kind %q%s; there are %s", kind, isMeant("", kind, "/"+rest, cluster.KindWords()), cluster.Kinds())
}

// steps are what a person can do about an error of a cluster, whose namespace stands for %s.
var steps = []struct {
	is   func(error) bool
	does string
}{
	{apierrors.IsNotFound, "kubectl get pods,deployments -n %s lists what is there; -n names another namespace"},
	{apierrors.IsForbidden, "coldtrace rights -n %s prints the Role that a person needs"},
	{apierrors.IsUnauthorized, "kubectl auth whoami -n %s shows whether you are still logged in"},
	{unanswered, "kubectl get pods -n %s tells whether the cluster can be reached from here; --context names another"},
}

// nextStep adds to an error of a cluster what to do about it.
func nextStep(err error, namespace string) error {
	for _, s := range steps {
		if s.is(err) {
			return fmt.Errorf("%w; "+s.does, err, namespace)
		}
	}
	return err
}

// unanswered tells whether a request had no answer.
func unanswered(err error) bool {
	var request *url.Error
	return errors.As(err, &request)
}
