// SPDX-License-Identifier: Apache-2.0

// Package certificate keeps the webhook's serving certificate and the CA bundle that the API server verifies it with.
//
// One CA for all replicas lies in a Secret. Each replica signs a leaf of its own, holds it in memory and serves it
// through GetCertificate. The leader replaces the CA with an overlap, in steps that each wait for the one before:
//
//  1. a next CA is made and trusted beside the active one,
//  2. the bundle with both is published in the webhook configuration,
//  3. after the overlap the next CA becomes the active one, and replicas sign their leaves with it,
//  4. after another overlap the old CA is no longer trusted.
//
// A replica serves a leaf only if the published bundle verifies it, so a step that was lost or came out of order costs
// time and never a request. State is the pure half; Keeper (leader) and Source (every replica) are its two shells.
//
// cert-manager's DynamicAuthority, made for the same purpose, replaces the CA and every leaf in one step: until the
// bundle follows, the API server refuses the new leaf. With failurePolicy Fail that is a refused pod.
package certificate
