// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// Keys of the Secret. The first three are those of kubernetes.io/tls, for the tools that read them.
const (
	keyCert      = "tls.crt"  // the active CA
	keyKey       = "tls.key"  // its key
	keyBundle    = "ca.crt"   // every CA that is trusted now
	keyNextCert  = "next.crt" // the CA that becomes active next
	keyNextKey   = "next.key"
	keyPublished = "next.published" // since when the published bundle holds it, RFC 3339
	keyPromoted  = "promoted"       // since when the active CA is the active one, RFC 3339
	keyRotated   = "rotated"        // the last value of RotateAnnotation that was acted upon
)

// RotateAnnotation on the Secret asks for a new CA: any value that was not there before.
const RotateAnnotation = "coldtrace.io/rotate-ca"

// Times are how long certificates live and how long two CAs are trusted together.
type Times struct {
	CA      time.Duration // life of a CA; it is replaced after two thirds of it
	Leaf    time.Duration // life of a leaf; it is renewed after two thirds of it
	Overlap time.Duration // between two steps of a rotation; longer than an API server needs to see a new bundle
}

// DefaultTimes are a year, a week and ten minutes.
func DefaultTimes() Times {
	return Times{CA: 365 * 24 * time.Hour, Leaf: 7 * 24 * time.Hour, Overlap: 10 * time.Minute}
}

// State is what the Secret says.
type State struct {
	Active    *Pair
	Next      *Pair // nil outside a rotation
	Trusted   Bundle
	Published time.Time // since when the published bundle holds Next
	Promoted  time.Time // since when Active is active
	Rotated   string
}

// decode reads the Secret's data. An empty Secret, as the chart installs it, is errEmpty.
func decode(data map[string][]byte) (State, error) {
	if len(data[keyCert]) == 0 && len(data[keyKey]) == 0 {
		return State{}, errEmpty
	}
	active, err := decodePair(data[keyCert], data[keyKey])
	if err != nil {
		return State{}, err
	}
	s := State{Active: active, Trusted: DecodeBundle(data[keyBundle]), Rotated: string(data[keyRotated])}
	// A time that can't be read counts as zero: the step it delays is then begun again from now.
	s.Published, _ = time.Parse(time.RFC3339Nano, string(data[keyPublished]))
	s.Promoted, _ = time.Parse(time.RFC3339Nano, string(data[keyPromoted]))
	if len(data[keyNextCert]) > 0 {
		// A next CA that is broken was never used: it is forgotten and made anew.
		if next, err := decodePair(data[keyNextCert], data[keyNextKey]); err == nil {
			s.Next = next
		}
	}
	s.trust(s.Active.Cert)
	if s.Next != nil {
		s.trust(s.Next.Cert)
	}
	return s, nil
}

var errEmpty = errors.New("the Secret holds no CA yet")

// encode is the reverse of decode.
func (s State) encode() (map[string][]byte, error) {
	cert, key, err := s.Active.encode()
	if err != nil {
		return nil, err
	}
	data := map[string][]byte{keyCert: cert, keyKey: key, keyBundle: s.Trusted.PEM(), keyRotated: []byte(s.Rotated)}
	if s.Next != nil {
		if data[keyNextCert], data[keyNextKey], err = s.Next.encode(); err != nil {
			return nil, err
		}
	}
	for key, t := range map[string]time.Time{keyPublished: s.Published, keyPromoted: s.Promoted} {
		if !t.IsZero() {
			data[key] = []byte(t.UTC().Format(time.RFC3339Nano))
		}
	}
	return data, nil
}

// newState starts with a new CA. What the API server trusts already stays trusted for one overlap, so that replicas
// that still serve a leaf of a lost CA go on being believed.
func newState(name string, published Bundle, rotated string, now time.Time, times Times) (State, error) {
	ca, err := NewCA(name, now, times.CA)
	if err != nil {
		return State{}, err
	}
	s := State{Active: ca, Promoted: now, Rotated: rotated, Trusted: published.valid(now)}
	s.trust(ca.Cert)
	return s, nil
}

// Step is what was done by advance.
type Step string

// Steps of a rotation.
const (
	stepNone     Step = ""
	stepPrepare  Step = "prepared" // a next CA was made
	stepAnnounce Step = "announced"
	stepPromote  Step = "promoted" // the next CA is active
	stepRetire   Step = "retired"  // old CAs are no longer trusted
)

// advance does the step that is due, if any, and says how long until another may be. published is the bundle that every
// webhook of the configuration holds; rotate is the Secret's RotateAnnotation.
func (s State) advance(name string, published Bundle, rotate string, now time.Time, times Times) (State, Step, time.Duration, error) {
	switch {
	case s.Next == nil && (rotate != s.Rotated || !now.Before(s.replaceAt())):
		next, err := NewCA(name, now, times.CA)
		if err != nil {
			return s, stepNone, 0, fmt.Errorf("make next CA: %w", err)
		}
		s.Next, s.Published, s.Rotated = next, time.Time{}, rotate
		s.trust(next.Cert)
		return s, stepPrepare, 0, nil
	case s.Next != nil && !published.Contains(s.Next.Cert):
		s.Published = time.Time{}
		return s, stepNone, times.Overlap, nil
	case s.Next != nil && s.Published.IsZero():
		s.Published = now
		return s, stepAnnounce, times.Overlap, nil
	case s.Next != nil && now.Before(s.Published.Add(times.Overlap)):
		return s, stepNone, s.Published.Add(times.Overlap).Sub(now), nil
	case s.Next != nil:
		s.Active, s.Next, s.Published, s.Promoted = s.Next, nil, time.Time{}, now
		return s, stepPromote, times.Overlap, nil
	case len(s.Trusted) > 1 && s.Promoted.IsZero():
		s.Promoted = now
		return s, stepAnnounce, times.Overlap, nil
	case len(s.Trusted) > 1 && now.Before(s.Promoted.Add(times.Overlap)):
		return s, stepNone, s.Promoted.Add(times.Overlap).Sub(now), nil
	case len(s.Trusted) > 1:
		s.Trusted = Bundle{s.Active.Cert}
		return s, stepRetire, s.replaceAt().Sub(now), nil
	}
	return s, stepNone, s.replaceAt().Sub(now), nil
}

func (s State) replaceAt() time.Time {
	life := s.Active.Cert.NotAfter.Sub(s.Active.Cert.NotBefore)
	return s.Active.Cert.NotAfter.Add(-life / 3)
}

func (s *State) trust(certs ...*x509.Certificate) {
	for _, c := range certs {
		if !s.Trusted.Contains(c) {
			s.Trusted = append(s.Trusted[:len(s.Trusted):len(s.Trusted)], c)
		}
	}
}
