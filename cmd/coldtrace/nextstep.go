// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

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

func isFile(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
