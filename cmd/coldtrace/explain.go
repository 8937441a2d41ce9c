// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"

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
		Long: `Says for each pod of a manifest, or for a pod in the cluster, what each rule saw, what was decided, and what to do about it.
A pod in the cluster is explained by the policy that is installed there, the nodes and the breaker, unless --policy names another.`,
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
					o.explain(cmd.Context(), cmd.OutOrStdout(), strings.TrimSpace(title), o.decide(t, m, policy))
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
	cmd.Flags().BoolVar(&o.ask, "lookup", false, "ask registries for entrypoints where the policy's registryLookup has the webhook do so")
	return cmd
}

// explainLive reads the pod and its namespace from the cluster.
func (o *offline) explainLive(ctx context.Context, w io.Writer, kubeconfig, name string) error {
	policy, err := o.policy()
	if err != nil {
		return err
	}
	flags := genericclioptions.NewConfigFlags(true)
	flags.KubeConfig, flags.Namespace = &kubeconfig, &o.namespace
	client, ns, err := connect(flags)
	if err != nil {
		return err
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
	req := o.decide(podTemplate{pod: endpoint.FromPod(pod)}, manifest{}, policy)
	if o.policyFile == "" {
		if in, err := readInstalled(ctx, client); err == nil {
			in.apply(&req, pod)
		} else {
			fmt.Fprintf(w, "The installed policy could not be read, so this goes by the built-in one: %v\n\n", err)
		}
	}
	if status, ok := pod.Annotations[config.StatusAnnotation]; ok {
		explainStatus(w, status)
	} else {
		fmt.Fprint(w, "The pod has no status annotation: the webhook did not see it when it was created.\n\n")
	}
	o.explain(ctx, w, "Pod "+ns+"/"+name, req)
	hash := inject.Selected(req).Settings.TraceID
	fmt.Fprintf(w, "\n  Trace %s (docs/find-a-trace.md says where to look)\n", hash.TraceID(string(pod.UID)))
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

// explain prints a line for each rule: what it saw, what it decided, what to do about it.
func (o *offline) explain(ctx context.Context, w io.Writer, title string, req inject.Request) {
	asked := o.lookup(ctx, &req)
	sel := inject.Selected(req)
	ops, decision := inject.Pod(req)
	fmt.Fprintf(w, "%s: %s\n\n", title, decision.Outcome)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "  RULE\tSAW\tDECIDED\tWHAT TO DO\n")
	for _, r := range rulesOf(req, &sel, ops, &decision) {
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", r.name, r.saw, r.decided, first(strings.Join(r.advice, " "), "-"))
	}
	t.Flush()
	if asked != "" {
		fmt.Fprintln(w, "\n  Registry look-up:", asked)
	}
	for _, warning := range decision.Warnings {
		fmt.Fprintln(w, "\n  Warning:", warning)
	}
	fmt.Fprintln(w, "\n  Reasons")
	meant := map[inject.Reason]bool{}
	for _, n := range decision.Notes {
		if !meant[n.Reason] {
			fmt.Fprintf(w, "    %s: %s\n", n.Reason, meaningOf(n.Reason))
		}
		meant[n.Reason] = true
	}
	if len(ops) > 0 {
		fmt.Fprintln(w, "\n  Changes")
		for _, path := range changed(ops) {
			fmt.Fprintln(w, "    "+path)
		}
	}
}

// envNames are the names of the entries that an operation adds; its value is of a type of package inject.
func envNames(op inject.Operation) []string {
	var entries []struct {
		Name string `json:"name"`
	}
	raw, err := json.Marshal(op.Value)
	if err != nil {
		return nil // impossible: it is encoded for the API server just so
	}
	if len(raw) > 0 && raw[0] == '{' {
		raw = append(append([]byte{'['}, raw...), ']')
	}
	if json.Unmarshal(raw, &entries) != nil {
		return nil
	}
	names := make([]string, len(entries))
	for i := range entries {
		names[i] = entries[i].Name
	}
	return names
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
