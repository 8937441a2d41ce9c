// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/spf13/cobra"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/inject/explain"
	"github.com/coldtrace/coldtrace/inject/registry"
)

func newExplainCommand() *cobra.Command {
	var (
		o     dryRun
		shown display
	)
	cmd := &cobra.Command{
		Use:   "explain {-f FILE | POD | KIND/NAME}",
		Short: "Say what happens to a pod and why",
		Long: `Says for each pod of a manifest, or for what is in a cluster, what each rule saw,
what was decided, and what to do about it. A pod or a workload in the cluster is
explained by the policy that is installed there, the nodes and the breaker,
unless --policy names another.`,
		Example: `  coldtrace explain -f endpoint.yaml
  coldtrace explain -n models llama-0
  coldtrace explain -n models deploy/llama`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			w := &prose{w: cmd.OutOrStdout(), columns: shown.columns(cmd.OutOrStdout())}
			policy, manifests, err := o.read(cmd, w, args)
			if err != nil {
				return err
			}
			found := false
			for _, m := range manifests {
				for _, t := range m.pods {
					if found {
						w.gap()
					}
					found = true
					o.explain(cmd.Context(), w, t, m, policy, len(args) > 0)
				}
			}
			if !found {
				return fmt.Errorf("%s holds no pod and no pod template: its kinds are %s; pods are looked for in %s",
					strings.Join(append(o.files, args...), " "), strings.Join(seenKinds(manifests), ", "), podKinds())
			}
			return nil
		},
	}
	o.flags(cmd)
	shown.widthFlag(cmd)
	cmd.Flags().BoolVar(&o.ask, "lookup", false, "ask registries for entrypoints where the policy's registryLookup has the webhook do so")
	return cmd
}

// explain says what is decided about a pod now; of one that lives, also what was when it was created.
func (o *dryRun) explain(ctx context.Context, w *prose, t podTemplate, m manifest, policy *config.Policy, live bool) {
	req := o.decide(t, m, policy)
	live = live && m.Kind == "Pod"
	if live {
		if status, ok := t.pod.Metadata.Annotations[config.StatusAnnotation]; ok {
			explainStatus(w, status)
		} else {
			w.hang("", "The pod has no status annotation: the webhook did not see it when it was created.")
		}
		w.gap()
	}
	title := m.Kind + " " + cmp.Or(t.pod.Metadata.Name, t.pod.Metadata.GenerateName, m.Name)
	o.explainRules(ctx, w, strings.TrimSpace(title), req, m)
	if live {
		hash := inject.Selected(req).Settings.TraceID
		w.gap()
		w.hang("  ", "Trace "+hash.TraceID(t.pod.Metadata.UID).String()+" (docs/find-a-trace.md says where to look)")
	}
}

// lookup asks a registry for the entrypoint where the webhook would, if it is told to, and says what came of it; empty if
// the webhook would not ask. The webhook uses the pod's pull secrets, this the credentials of whoever runs it.
func (o *dryRun) lookup(ctx context.Context, req *inject.Request) string {
	image, wanted := inject.WantsEntrypoint(*req)
	switch {
	case !wanted:
		return ""
	case !o.ask:
		return "the policy has the webhook ask the registry of " + image + " for its ENTRYPOINT; --lookup asks it from here"
	}
	own := func(context.Context, string, *endpoint.Pod) (authn.Keychain, error) {
		return authn.DefaultKeychain, nil
	}
	registries := registry.New(own, 15*time.Second) // nothing waits for this one but a person
	command, err := registries.Lookup(ctx, req.Namespace, req.Pod, image)
	if err != nil {
		return "the registry of " + image + " does not tell its ENTRYPOINT: " + err.Error()
	}
	req.Entrypoint, req.Cmd = command.Entrypoint, command.Cmd
	if len(command.Entrypoint)+len(command.Cmd) == 0 {
		return image + " has neither ENTRYPOINT nor CMD"
	}
	return "the registry of " + image + " told its ENTRYPOINT; the webhook has one second for that"
}

// assumed is what is taken for granted of a manifest, and a cluster would tell.
func (o *dryRun) assumed(req inject.Request, m manifest, ops []inject.Operation) (texts []string) {
	if len(o.files) == 0 {
		return nil
	}
	policy, namespace := builtIns, "a namespace"
	if o.policyFile != "" {
		policy = "the policy in " + o.policyFile
	}
	if req.Namespace != "" {
		namespace = "namespace " + req.Namespace
	}
	texts = append(texts, fmt.Sprintf("Assumed: %s; %s, labelled %s=%s.", policy, namespace, config.NamespaceLabel, config.NamespaceValue))
	bare := (m.Kind == "Pod" || m.Kind == "List") && req.Pod.Metadata.Controller() == nil
	if bare && slices.ContainsFunc(ops, func(op inject.Operation) bool { return strings.Contains(op.Path, "/command") }) {
		texts = append(texts, "It has no owner, so all of this is of a pod that is created. If it is applied (kubectl apply, Helm) it keeps its command and gets no wrapper: "+string(inject.ReasonApplied)+".")
	}
	return texts
}

// explainStatus prints the decision that was made when the pod was created.
func explainStatus(w *prose, status string) {
	var d inject.Decision
	if err := json.Unmarshal([]byte(status), &d); err != nil {
		w.hang("", fmt.Sprintf("The annotation %s, which is the webhook's to write, is not readable: %v", config.StatusAnnotation, slip(nil, err)))
		return
	}
	w.hang("", fmt.Sprintf("Decided at creation by coldtrace %s: %s", d.Version, d.Outcome))
	for _, n := range d.Notes {
		e, known := inject.Explain(n.Reason)
		said := string(n.Reason)
		if n.Detail != "" {
			said += " (" + n.Detail + ")"
		}
		if known {
			said += ": " + e.Meaning
		}
		w.hang("    ", "- "+said)
		if e.Advice != "" {
			w.hang("        ", e.Advice)
		}
	}
}

// explainRules prints for each rule what it saw, what it decided, and what to do about it.
func (o *dryRun) explainRules(ctx context.Context, w *prose, title string, req inject.Request, m manifest) {
	asked := o.lookup(ctx, &req)
	ops, decision := inject.Pod(req)
	w.hang("", title+": "+string(decision.Outcome))
	for _, text := range o.assumed(req, m, ops) {
		w.hang("  ", text)
	}
	w.gap()
	w.row("RULE", "SAW → DECIDED")
	for _, r := range explain.Rules(req, ops, &decision) {
		w.row(r.Name, r.Saw+" → "+r.Decided)
		for _, advice := range r.Advice {
			w.row("", "To do: "+advice)
		}
	}
	if asked != "" {
		w.gap()
		w.hang("  ", "Registry look-up: "+asked)
	}
	for _, warning := range decision.Warnings {
		w.gap()
		w.hang("  ", "Warning: "+warning)
	}
	w.gap()
	w.hang("  ", "Reasons")
	meant := map[inject.Reason]bool{}
	for _, n := range decision.Notes {
		if !meant[n.Reason] {
			e, _ := inject.Explain(n.Reason)
			w.hang("    ", string(n.Reason)+": "+e.Meaning)
		}
		meant[n.Reason] = true
	}
	if len(ops) > 0 {
		w.gap()
		w.hang("  ", "Changes")
		for _, path := range explain.Changes(ops) {
			w.hang("    ", path)
		}
	}
}
