// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/inject/explain"
)

func newExplainCommand() *cobra.Command {
	var o dryRun
	cmd := &cobra.Command{
		Use:   "explain -f FILE | explain -n NAMESPACE POD | explain -n NAMESPACE KIND/NAME",
		Short: "Say what happens to a pod and why",
		Long: `Says for each pod of a manifest, or for what is in a cluster, what each rule saw, what was decided, and what to do about it.
A pod or a workload in the cluster is explained by the policy that is installed there, the nodes and the breaker, unless
--policy names another.`,
		Example: `  coldtrace explain -f endpoint.yaml
  coldtrace explain -n llm-engine launch-endpoint-id-end-a1b2-66d9-x7k2p
  coldtrace explain -n models deploy/llama`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			w := cmd.OutOrStdout()
			policy, manifests, err := o.read(cmd, w, args)
			if err != nil {
				return err
			}
			found := false
			for _, m := range manifests {
				for _, t := range m.pods {
					if found {
						fmt.Fprintln(w)
					}
					found = true
					o.explain(cmd.Context(), w, t, m, policy, len(args) > 0)
				}
			}
			if !found {
				return fmt.Errorf("%s holds no pod and no pod template: its kinds are %s; pods are looked for in %s",
					cmp.Or(o.file, strings.Join(args, " ")), strings.Join(seenKinds(manifests), ", "), podKinds())
			}
			return nil
		},
	}
	o.flags(cmd)
	cmd.Flags().BoolVar(&o.ask, "lookup", false, "ask registries for entrypoints where the policy's registryLookup has the webhook do so")
	return cmd
}

// explain says what is decided about a pod now; of one that lives, also what was when it was created.
func (o *dryRun) explain(ctx context.Context, w io.Writer, t podTemplate, m manifest, policy *config.Policy, live bool) {
	req := o.decide(t, m, policy)
	live = live && m.Kind == "Pod"
	if live {
		if status, ok := t.pod.Metadata.Annotations[config.StatusAnnotation]; ok {
			explainStatus(w, status)
		} else {
			fmt.Fprint(w, "The pod has no status annotation: the webhook did not see it when it was created.\n\n")
		}
	}
	title := m.Kind + " " + cmp.Or(t.pod.Metadata.Name, t.pod.Metadata.GenerateName, m.Name)
	o.explainRules(ctx, w, strings.TrimSpace(title), req)
	if live {
		hash := inject.Selected(req).Settings.TraceID
		fmt.Fprintf(w, "\n  Trace %s (docs/find-a-trace.md says where to look)\n", hash.TraceID(t.pod.Metadata.UID))
	}
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

// explainRules prints a line for each rule: what it saw, what it decided, what to do about it.
func (o *dryRun) explainRules(ctx context.Context, w io.Writer, title string, req inject.Request) {
	asked := o.lookup(ctx, &req)
	ops, decision := inject.Pod(req)
	fmt.Fprintf(w, "%s: %s\n\n", title, decision.Outcome)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "  RULE\tSAW\tDECIDED\tWHAT TO DO\n")
	for _, r := range explain.Rules(req, ops, &decision) {
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", r.Name, r.Saw, r.Decided, cmp.Or(strings.Join(r.Advice, " "), "-"))
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
			e, _ := inject.Explain(n.Reason)
			fmt.Fprintf(w, "    %s: %s\n", n.Reason, e.Meaning)
		}
		meant[n.Reason] = true
	}
	if len(ops) > 0 {
		fmt.Fprintln(w, "\n  Changes")
		for _, path := range explain.Changes(ops) {
			fmt.Fprintln(w, "    "+path)
		}
	}
}

func printNotes(w io.Writer, notes []inject.Note) {
	for _, n := range notes {
		e, known := inject.Explain(n.Reason)
		detail := ""
		if n.Detail != "" {
			detail = " (" + n.Detail + ")"
		}
		if !known {
			fmt.Fprintf(w, "    - %s%s\n", n.Reason, detail)
			continue
		}
		fmt.Fprintf(w, "    - %s%s: %s\n", n.Reason, detail, e.Meaning)
		if e.Advice != "" {
			fmt.Fprintf(w, "        %s\n", e.Advice)
		}
	}
}
