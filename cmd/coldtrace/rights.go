// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"
)

// right is one that coldtrace trace uses.
type right struct {
	rbacv1.PolicyRule
	gives   string
	cluster bool // of no namespace
}

func grant(group string, verbs []string, gives string, cluster bool, resources ...string) right {
	return right{rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: verbs}, gives, cluster}
}

// rights are all that coldtrace trace may use, those first without which there is nothing to draw.
var rights = []right{
	grant("", []string{"get", "list", "watch"}, "which pods there are, and when what happened to them, to the second", false, "pods"),
	grant("", []string{"list"}, "the same to the millisecond, image pulls, and why a pod waits", false, "events"),
	grant("", []string{"get"}, "what happened in the container", false, "pods/log"),
	grant("apps", []string{"get"}, "pods by their owner: deploy/NAME", false, "deployments", "replicasets", "statefulsets", "daemonsets"),
	grant("batch", []string{"get"}, "pods by their owner: job/NAME", false, "jobs"),
	grant("", []string{"get"}, "pods by svc/NAME, rc/NAME", false, "services", "replicationcontrollers"),
	grant("leaderworkerset.x-k8s.io", []string{"get"}, "pods by lws/NAME", false, "leaderworkersets"),
	grant("serving.kserve.io", []string{"get"}, "pods by isvc/NAME", false, "inferenceservices"),
	grant("ray.io", []string{"get"}, "pods by raycluster/NAME", false, "rayclusters"),
	grant("jobset.x-k8s.io", []string{"get"}, "pods by jobset/NAME", false, "jobsets"),
	grant("grove.io", []string{"get"}, "pods by pcsg/NAME", false, "podcliquescalinggroups"),
	grant("", []string{"get"}, "the GPU's type, where the pod does not say it", true, "nodes"),
}

func newRightsCommand() *cobra.Command {
	var (
		from  source
		check bool
		user  string
	)
	cmd := &cobra.Command{
		Use:   "rights",
		Short: "Print the Role that a person needs to see starts with trace",
		Long: `Prints the Role that coldtrace trace needs in a namespace, and the ClusterRole
for what is in none. It only reads.

With --check it asks the API server which of these rights you have, or whom --as
names. That is a question (a SelfSubjectAccessReview), and the only request of
coldtrace's that is no get, list or watch.`,
		Example: `  coldtrace rights -n models --bind jane | kubectl apply -f -
  coldtrace rights -n models --check --as jane`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if wrong := validation.IsDNS1123Label(*from.config.Namespace); *from.config.Namespace != "" && len(wrong) > 0 {
				return fmt.Errorf("--namespace %q can't be one: %s", *from.config.Namespace, strings.Join(wrong, "; "))
			}
			if bind := cmd.Flags().Lookup("bind"); bind.Changed && user == "" {
				return errors.New("--bind is empty: want the name of a user, as kubectl auth whoami prints it")
			}
			if check && user != "" {
				return errors.New("--check asks which rights are there, and --bind makes some: give one of them")
			}
			if !check {
				return printRights(cmd.OutOrStdout(), *from.config.Namespace, user)
			}
			client, namespace, err := connect(from.config)
			if err != nil {
				return err
			}
			return nextStep(checkRights(cmd.Context(), cmd.OutOrStdout(), client, namespace), namespace)
		},
	}
	from.connectionFlags(cmd)
	cmd.Flags().BoolVar(&check, "check", false, "say which of the rights are there")
	cmd.Flags().StringVar(&user, "bind", "", "also bind the roles to this user")
	return cmd
}

// rightsName is that of the roles.
const rightsName = "coldtrace-trace"

func printRights(w io.Writer, namespace, user string) error {
	role := rbacv1.Role{TypeMeta: metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "Role"}, ObjectMeta: metav1.ObjectMeta{Name: rightsName, Namespace: namespace}}
	wide := rbacv1.ClusterRole{TypeMeta: metav1.TypeMeta{APIVersion: role.APIVersion, Kind: "ClusterRole"}, ObjectMeta: metav1.ObjectMeta{Name: rightsName}}
	for _, r := range rights {
		if r.cluster {
			wide.Rules = append(wide.Rules, r.PolicyRule)
		} else {
			role.Rules = append(role.Rules, r.PolicyRule)
		}
	}
	docs := []any{role, wide}
	if user != "" {
		subjects := []rbacv1.Subject{{Kind: "User", APIGroup: "rbac.authorization.k8s.io", Name: user}}
		name := bindingName(user)
		docs = append(docs,
			rbacv1.RoleBinding{TypeMeta: metav1.TypeMeta{APIVersion: role.APIVersion, Kind: "RoleBinding"}, ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}, Subjects: subjects,
				RoleRef: rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "Role", Name: rightsName}},
			rbacv1.ClusterRoleBinding{TypeMeta: metav1.TypeMeta{APIVersion: role.APIVersion, Kind: "ClusterRoleBinding"}, ObjectMeta: metav1.ObjectMeta{Name: name}, Subjects: subjects,
				RoleRef: rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: rightsName}})
	}
	for i, doc := range docs {
		text, err := yaml.Marshal(doc)
		if err != nil {
			return fmt.Errorf("encode a role: %w", err)
		}
		if i > 0 {
			text = append([]byte("---\n"), text...)
		}
		if _, err := w.Write(text); err != nil {
			return fmt.Errorf("write roles: %w", err)
		}
	}
	return nil
}

// notInNames are what the name of an object has none of.
var notInNames = regexp.MustCompile(`[^a-z0-9.-]+`)

// bindingName is one user's, so that to bind another takes nobody's rights away. Of users whose names look alike, such as a@x and
// a-x, it differs by what follows from the whole.
func bindingName(user string) string {
	plain := strings.Trim(notInNames.ReplaceAllString(strings.ToLower(user), "-"), "-.")
	if plain != user {
		plain = fmt.Sprintf("%.40s-%.4x", plain, sha256.Sum256([]byte(user)))
	}
	return rightsName + "-" + strings.TrimPrefix(plain, "-")
}

// errRights is returned where one is missing; which one is said already.
var errRights = errors.New("rights are missing: coldtrace rights prints the roles that give them")

func checkRights(ctx context.Context, w io.Writer, client kubernetes.Interface, namespace string) error {
	missing := false
	for _, r := range rights {
		for _, name := range r.Resources {
			for _, verb := range r.Verbs {
				asked := &authorizationv1.ResourceAttributes{Namespace: namespace, Verb: verb, Group: r.APIGroups[0]}
				if r.cluster {
					asked.Namespace = ""
				}
				asked.Resource, asked.Subresource, _ = strings.Cut(name, "/")
				review, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx,
					&authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: asked}}, metav1.CreateOptions{})
				if err != nil {
					return fmt.Errorf("ask for a right: %w", err)
				}
				if !review.Status.Allowed {
					missing = true
					fmt.Fprintf(w, "missing  %s %s in %s: %s\n", verb, name, cmp.Or(asked.Namespace, "the cluster"), r.gives)
				}
			}
		}
	}
	if missing {
		return errRights
	}
	fmt.Fprintln(w, "all rights are there")
	return nil
}
