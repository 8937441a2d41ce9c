// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/inject"
)

func newExplainCommand() *cobra.Command {
	var (
		o          offline
		kubeconfig string
	)
	cmd := &cobra.Command{
		Use:   "explain -f FILE | explain -n NAMESPACE POD",
		Short: "Say what happens to a pod and why",
		Long:  "Says for each pod of a manifest, or for a pod in the cluster, what each rule saw, what was decided, and what to do about it.",
		Example: `  coldtrace explain -f endpoint.yaml
  coldtrace explain -n llm-engine launch-endpoint-id-end-a1b2-66d9-x7k2p`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 1 && o.file != "":
				return errors.New("name a pod or a file, not both")
			case len(args) == 1:
				return o.explainLive(cmd.Context(), cmd.OutOrStdout(), kubeconfig, args[0])
			}
			policy, manifests, err := o.read(cmd.InOrStdin())
			if err != nil {
				return err
			}
			found := false
			for _, m := range manifests {
				for _, t := range m.pods {
					if found {
						fmt.Fprintln(cmd.OutOrStdout())
					}
					found = true
					title := m.Kind + " " + first(t.pod.Metadata.Name, t.pod.Metadata.GenerateName, m.Name)
					explain(cmd.OutOrStdout(), title, o.decide(t, m, policy))
				}
			}
			if !found {
				return fmt.Errorf("%s holds no pod and no pod template", o.file)
			}
			return nil
		},
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig file (default: $KUBECONFIG, then ~/.kube/config)")
	return cmd
}

// explainLive reads the pod and its namespace from the cluster.
func (o *offline) explainLive(ctx context.Context, w io.Writer, kubeconfig, name string) error {
	policy, err := o.policy()
	if err != nil {
		return err
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil)
	ns := o.namespace
	if ns == "" {
		if ns, _, err = loader.Namespace(); err != nil {
			return fmt.Errorf("read kubeconfig: %w", err)
		}
	}
	rest, err := loader.ClientConfig()
	if err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	pod, err := client.CoreV1().Pods(ns).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("get pod: %w", err)
	}
	namespace, err := client.CoreV1().Namespaces().Get(ctx, ns, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("get namespace: %w", err)
	}
	o.nsAnnotation = namespace.Annotations
	if value := namespace.Labels[config.Prefix+"inject"]; value != "enabled" {
		fmt.Fprintf(w, "Namespace %s does not carry the label %sinject=enabled (it has %q): the webhook never sees its pods.\n\n", ns, config.Prefix, value)
	}
	if status, ok := pod.Annotations[config.StatusAnnotation]; ok {
		explainStatus(w, status)
	} else {
		fmt.Fprint(w, "The pod has no status annotation: the webhook did not see it when it was created.\n\n")
	}
	explain(w, "Pod "+ns+"/"+name, o.decide(podTemplate{pod: endpoint.FromPod(pod)}, manifest{}, policy))
	return nil
}

// explainStatus prints the decision that was made when the pod was created.
func explainStatus(w io.Writer, status string) {
	var d inject.Decision
	if err := json.Unmarshal([]byte(status), &d); err != nil {
		fmt.Fprintf(w, "The status annotation is not readable: %v\n\n", err)
		return
	}
	fmt.Fprintf(w, "Decided at creation by coldtrace %s: %s\n", d.Version, d.Outcome)
	printNotes(w, d.Notes)
	fmt.Fprintln(w)
}

// explain prints what is seen in a pod and what follows.
func explain(w io.Writer, title string, req inject.Request) {
	sel := inject.Selected(req)
	ops, decision := inject.Pod(req)
	fmt.Fprintln(w, title)
	fmt.Fprintln(w, "\n  Seen")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range seen(req, &sel) {
		fmt.Fprintf(t, "    %s\t%s\n", row[0], first(row[1], "-"))
	}
	t.Flush()
	fmt.Fprintln(w, "\n  Decided:", decision.Outcome)
	for _, f := range decision.Features {
		fmt.Fprintln(w, "    +", f)
	}
	printNotes(w, decision.Notes)
	for _, warning := range decision.Warnings {
		fmt.Fprintln(w, "    !", warning)
	}
	if len(ops) > 0 {
		fmt.Fprintln(w, "\n  Changes")
		for _, path := range changed(ops) {
			fmt.Fprintln(w, "    "+path)
		}
	}
}

func seen(req inject.Request, sel *inject.Selection) [][2]string {
	id := &sel.Identity
	selection := req.Policy.Selection
	rows := [][2]string{
		{"label " + selection.LabelKey, fmt.Sprintf("%q, wanted: %s", req.Pod.Metadata.Labels[selection.LabelKey], strings.Join(selection.LabelValues, ", "))},
	}
	for _, a := range config.Annotations {
		key := config.Prefix + a.Name
		if v, ok := req.Pod.Metadata.Annotations[key]; ok {
			rows = append(rows, [2]string{"annotation " + key, v})
		} else if v, ok := req.NamespaceAnnotations[key]; ok {
			rows = append(rows, [2]string{"annotation " + key, v + " (namespace)"})
		}
	}
	gpu := id.GPUType
	if id.NumGPUs > 0 {
		gpu = strconv.Itoa(id.NumGPUs) + " × " + first(gpu, "unknown type")
	}
	if id.MIG != "" {
		gpu += " MIG " + id.MIG
	}
	command := "the pod's own"
	if !id.Launch.Known {
		command = "none: the image's ENTRYPOINT"
	}
	if id.Launch.Shell != "" {
		command += ", run by " + id.Launch.Shell
	}
	return append(rows,
		[2]string{"container", id.Container},
		[2]string{"gpu", gpu},
		[2]string{"command", command},
		[2]string{"engine", id.Engine},
		[2]string{"role", string(id.Role)},
		[2]string{"endpoint", id.EndpointName},
		[2]string{"model", id.ModelName},
		[2]string{"image tag", id.ImageTag},
		[2]string{"region", id.Region},
		[2]string{"health", id.HealthURL},
		[2]string{"otlp endpoint", sel.Settings.OTLP.Endpoint},
	)
}

func printNotes(w io.Writer, notes []inject.Note) {
	for _, n := range notes {
		i := slices.IndexFunc(inject.Vocabulary, func(e inject.Explanation) bool { return e.Reason == n.Reason })
		detail := ""
		if n.Detail != "" {
			detail = " (" + n.Detail + ")"
		}
		if i < 0 {
			fmt.Fprintf(w, "    - %s%s\n", n.Reason, detail)
			continue
		}
		fmt.Fprintf(w, "    - %s%s: %s\n", n.Reason, detail, inject.Vocabulary[i].Meaning)
		if advice := inject.Vocabulary[i].Advice; advice != "" {
			fmt.Fprintf(w, "        %s\n", advice)
		}
	}
}

// changed are the places a patch touches, each once.
func changed(ops []inject.Operation) []string {
	var out []string
	for _, op := range ops {
		path := strings.TrimPrefix(op.Path, "/")
		path = strings.NewReplacer("~1", "/", "~0", "~").Replace(path)
		if line := op.Operation + " " + path; !slices.Contains(out, line) {
			out = append(out, line)
		}
	}
	return out
}
