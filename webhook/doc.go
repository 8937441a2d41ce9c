// SPDX-License-Identifier: Apache-2.0

// Package webhook is the admission adapter: it reads an AdmissionReview, lets package inject decide, answers, and makes
// the decision known.
//
// Whatever goes wrong here, the pod is admitted as it came. No call to the API server is made on the way: namespaces'
// annotations, the nodes' abilities and the policy are kept ready beside it, Events are written behind it. The one
// exception is switched on twice: a policy with registryLookup lets a registry be asked for a second, and namespaces named
// to NewEntrypoints let pull secrets be read for that.
package webhook
